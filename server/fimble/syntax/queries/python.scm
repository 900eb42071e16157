; Definitions.  An assignment in a function is a local variable, one in a class a field.

(function_definition
  name: (identifier) @name
  return_type: (type)? @type
  body: (block) @body) @definition.function

(class_definition
  name: (identifier) @name
  superclasses: (argument_list)? @bases
  body: (block) @body) @definition.class

(assignment
  left: (identifier) @name
  type: (type)? @type
  right: (_)? @value) @definition.variable

(assignment
  left: (attribute object: (identifier) @self attribute: (identifier) @name)
  type: (type)? @type
  right: (_)? @value
  (#eq? @self "self")) @definition.field

(type_alias_statement
  left: (type . [(identifier) @name (generic_type . (identifier) @name)])
  right: (type) @type) @definition.type

(typed_parameter . (identifier) @name type: (type) @type) @local
(typed_default_parameter name: (identifier) @name type: (type) @type) @local
(as_pattern (call) @value alias: (as_pattern_target (identifier) @name)) @local
(named_expression name: (identifier) @name value: (_) @value) @local

; Imports

(import_statement name: (dotted_name) @module) @import
(import_statement name: (aliased_import name: (dotted_name) @module alias: (identifier) @alias)) @import
(import_from_statement module_name: (_) @module name: (dotted_name) @name) @import
(import_from_statement
  module_name: (_) @module
  name: (aliased_import name: (dotted_name) @name alias: (identifier) @alias)) @import
(import_from_statement module_name: (_) @module (wildcard_import) @all) @import

; Uses

(identifier) @reference
(call function: [(identifier) @reference.call (attribute attribute: (identifier) @reference.call)])
(decorator [(identifier) @reference.call (attribute attribute: (identifier) @reference.call)])

(parameters (identifier) @defined)
(lambda_parameters (identifier) @defined)
(default_parameter name: (identifier) @defined)
(list_splat_pattern (identifier) @defined)
(dictionary_splat_pattern (identifier) @defined)
(keyword_argument name: (identifier) @defined)
(for_statement left: (identifier) @defined)
(for_in_clause left: (identifier) @defined)
(pattern_list (identifier) @defined)
(tuple_pattern (identifier) @defined)
(as_pattern_target (identifier) @defined)
(global_statement (identifier) @defined)
(nonlocal_statement (identifier) @defined)

(future_import_statement) @skipped

(comment) @comment
(decorator) @attribute
(block . (expression_statement . (string) @doc))
