; What JavaScript and TypeScript have in common

(function_declaration name: (_) @name body: (_) @body) @definition.function
(generator_function_declaration name: (_) @name body: (_) @body) @definition.function
(method_definition name: (_) @name body: (_) @body) @definition.function
(class_declaration name: (_) @name (class_heritage)? @bases body: (_) @body) @definition.class

(variable_declarator
  name: (identifier) @name
  value: [
    (arrow_function body: (_) @body)
    (function_expression body: (_) @body)
    (generator_function body: (_) @body)
  ]) @definition.function
(variable_declarator name: (identifier) @name value: (class body: (_) @body)) @definition.class
(variable_declarator name: (identifier) @name value: (_)? @value) @definition.variable

(pair key: (property_identifier) @name value: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]) @definition.function

(assignment_expression
  left: (member_expression object: (this) property: (property_identifier) @name)
  right: (_) @value) @definition.field
(assignment_expression
  left: (member_expression object: (identifier) @container property: (property_identifier) @name)
  right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]
  (#not-eq? @container "exports")) @definition.function
(assignment_expression
  left: (member_expression object: (_) @exports property: (property_identifier) @name)
  right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]
  (#any-of? @exports "exports" "module.exports")) @definition.function
(assignment_expression
  left: (member_expression
    object: (member_expression object: (identifier) @container property: (property_identifier) @prototype)
    property: (property_identifier) @name)
  right: [(arrow_function body: (_) @body) (function_expression body: (_) @body)]
  (#eq? @prototype "prototype")) @definition.function

(export_statement declaration: (_) @inner) @outer
(export_statement value: (_) @inner) @outer
(lexical_declaration . (variable_declarator) @inner) @outer
(variable_declaration . (variable_declarator) @inner) @outer
(expression_statement (assignment_expression) @inner) @outer

; Imports, and what is exported from elsewhere

(import_statement source: (string) @module) @import
(import_statement (import_clause (identifier) @default) source: (string) @module) @import
(import_statement (import_clause (namespace_import (identifier) @alias)) source: (string) @module) @import
(import_statement
  (import_clause (named_imports (import_specifier name: (_) @name alias: (identifier)? @alias)))
  source: (string) @module) @import
(export_statement
  (export_clause (export_specifier name: (_) @name alias: (_)? @alias))
  source: (string) @module) @import
(export_statement "*" @all source: (string) @module) @import
(export_statement (namespace_export (identifier) @alias) source: (string) @module) @import

(variable_declarator
  name: (identifier) @alias
  value: (call_expression function: (identifier) @require arguments: (arguments . (string) @module .))
  (#eq? @require "require")) @import
(variable_declarator
  name: (object_pattern [
    (shorthand_property_identifier_pattern) @name
    (pair_pattern key: (property_identifier) @name value: (identifier) @alias)
  ])
  value: (call_expression function: (identifier) @require arguments: (arguments . (string) @module .))
  (#eq? @require "require")) @import
(expression_statement
  (call_expression function: (identifier) @require arguments: (arguments . (string) @module .))
  (#eq? @require "require")) @import
(call_expression function: (import) arguments: (arguments . (string) @module .)) @import

; Uses

[(identifier) (property_identifier) (shorthand_property_identifier) (private_property_identifier)] @reference
(call_expression function: [(identifier) @reference.call (member_expression property: (_) @reference.call)])
(new_expression constructor: [(identifier) @reference.call (member_expression property: (_) @reference.call)])

(shorthand_property_identifier_pattern) @defined
(arrow_function parameter: (identifier) @defined)
(rest_pattern (identifier) @defined)
(array_pattern (identifier) @defined)
(pair_pattern key: (property_identifier) @defined)
(pair_pattern value: (identifier) @defined)
(pair key: (property_identifier) @defined)
(catch_clause parameter: (identifier) @defined)
(for_in_statement left: (identifier) @defined)
(function_expression name: (identifier) @defined)
(labeled_statement label: (_) @defined)

(comment) @comment
(decorator) @attribute
