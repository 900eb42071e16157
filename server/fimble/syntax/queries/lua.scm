(function_declaration name: (identifier) @name body: (_)? @body) @definition.function
(function_declaration
  name: (dot_index_expression table: (_) @container field: (identifier) @name)
  body: (_)? @body) @definition.function
(function_declaration
  name: (method_index_expression table: (_) @container method: (identifier) @name)
  body: (_)? @body) @definition.function
(assignment_statement
  (variable_list . name: (identifier) @name)
  (expression_list . value: (function_definition body: (_)? @body))) @definition.function
(assignment_statement
  (variable_list . name: (dot_index_expression table: (_) @container field: (identifier) @name))
  (expression_list . value: (function_definition body: (_)? @body))) @definition.function
(field name: (identifier) @name value: (function_definition body: (_)? @body)) @definition.function

(assignment_statement
  (variable_list . name: (identifier) @name)
  (expression_list . value: (_) @value)) @definition.variable
(assignment_statement
  (variable_list . name: (dot_index_expression table: (identifier) @container field: (identifier) @name))
  (expression_list . value: (_) @value)
  (#not-eq? @container "self")) @definition.field
(assignment_statement
  (variable_list . name: (dot_index_expression table: (identifier) @self field: (identifier) @name))
  (expression_list . value: (_) @value)
  (#eq? @self "self")) @definition.field

(variable_declaration (assignment_statement) @inner) @outer

(assignment_statement
  (variable_list . name: (identifier) @alias)
  (expression_list . value: (function_call
    name: (identifier) @require
    arguments: (arguments . (string content: (_) @module))))
  (#eq? @require "require")) @import
(function_call
  name: (identifier) @require
  arguments: (arguments . (string content: (_) @module))
  (#eq? @require "require")) @import

(identifier) @reference
(function_call name: [
  (identifier) @reference.call
  (dot_index_expression field: (identifier) @reference.call)
  (method_index_expression method: (identifier) @reference.call)
])

(parameters (identifier) @defined)
(variable_list name: (identifier) @defined)
(field name: (identifier) @defined)
(function_declaration name: [(dot_index_expression) (method_index_expression)] @skipped)

(comment) @comment
