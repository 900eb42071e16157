(package_clause (package_identifier) @name) @definition.module
(function_declaration name: (identifier) @name result: [(parameter_list . (parameter_declaration type: (_) @type)) [(type_identifier) (pointer_type) (qualified_type) (generic_type)] @type]?
  body: (block)? @body) @definition.function
(method_declaration
  receiver: (parameter_list (parameter_declaration type: (_) @container))
  name: (field_identifier) @name
  result: [(parameter_list . (parameter_declaration type: (_) @type)) [(type_identifier) (pointer_type) (qualified_type) (generic_type)] @type]?
  body: (block)? @body) @definition.method

(type_spec name: (type_identifier) @name type: (struct_type (field_declaration_list) @body)) @definition.class
(type_spec name: (type_identifier) @name type: (interface_type "{" @body)) @definition.interface
(type_spec name: (type_identifier) @name type: (_) @type) @definition.type
(type_alias name: (type_identifier) @name type: (_) @type) @definition.type

(struct_type (field_declaration_list
  (field_declaration name: (field_identifier) @name type: (_) @type) @definition.field))
(type_spec
  name: (type_identifier) @name
  type: (struct_type (field_declaration_list (field_declaration !name type: (_) @bases)))) @inherits
(type_spec name: (type_identifier) @name type: (interface_type (type_elem (_) @bases))) @inherits
(method_elem name: (field_identifier) @name result: [(parameter_list . (parameter_declaration type: (_) @type)) [(type_identifier) (pointer_type) (qualified_type) (generic_type)] @type]?) @definition.method

(const_spec name: (identifier) @name type: (_)? @type) @definition.constant
(var_spec name: (identifier) @name type: (_)? @type) @definition.variable
(var_spec . name: (identifier) @name value: (expression_list . (_) @value)) @definition.variable
(short_var_declaration
  left: (expression_list . (identifier) @name)
  right: (expression_list . (_) @value)) @local
(parameter_declaration name: (identifier) @name type: (_) @type) @local

(type_declaration . (type_spec) @inner .) @outer
(type_declaration . (type_alias) @inner .) @outer
(const_declaration . (const_spec) @inner .) @outer
(var_declaration . (var_spec) @inner .) @outer

(import_spec path: (_) @module) @import
(import_spec name: (package_identifier) @alias path: (_) @module) @import
(import_spec name: (blank_identifier) @alias path: (_) @module) @import
(import_spec name: (dot) @all path: (_) @module) @import

[(identifier) (field_identifier) (type_identifier) (package_identifier)] @reference
(call_expression function: [(identifier) @reference.call (selector_expression field: (field_identifier) @reference.call)])

(parameter_declaration name: (identifier) @defined)
(variadic_parameter_declaration name: (identifier) @defined)
(short_var_declaration left: (expression_list (identifier) @defined))
(range_clause left: (expression_list (identifier) @defined))
(type_parameter_declaration name: (identifier) @defined)
(keyed_element . (literal_element (identifier) @defined))
(labeled_statement label: (_) @defined)

(comment) @comment
