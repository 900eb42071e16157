(function_definition name: (word) @name body: (_) @body) @definition.function
(variable_assignment name: (variable_name) @name) @definition.variable
(declaration_command (variable_assignment) @inner .) @outer

(command
  name: (command_name (word) @source) . argument: (_) @module
  (#any-of? @source "source" ".")) @import @all

(command_name (word) @reference @reference.call)
(variable_name) @reference

(declaration_command (variable_name) @defined)
(for_statement variable: (variable_name) @defined)

(comment) @comment
