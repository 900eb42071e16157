(class_declaration name: (identifier) @name (base_list)? @bases body: (_)? @body) @definition.class
(struct_declaration name: (identifier) @name (base_list)? @bases body: (_)? @body) @definition.class
(record_declaration name: (identifier) @name (base_list)? @bases body: (_)? @body) @definition.class
(interface_declaration name: (identifier) @name (base_list)? @bases body: (_) @body) @definition.interface
(enum_declaration name: (identifier) @name body: (_) @body) @definition.enum
(enum_member_declaration name: (identifier) @name) @definition.constant
(delegate_declaration type: (_) @type name: (identifier) @name) @definition.type
(namespace_declaration name: (_) @name body: (_) @body) @definition.module
(file_scoped_namespace_declaration name: (_) @name) @definition.module

(method_declaration returns: (_) @type name: (identifier) @name body: (_)? @body) @definition.method
(constructor_declaration name: (identifier) @name body: (_) @body) @definition.method
(destructor_declaration name: (identifier) @name body: (_) @body) @definition.method
(local_function_statement type: (_) @type name: (identifier) @name body: (_) @body) @definition.function
(property_declaration type: (_) @type name: (identifier) @name) @definition.field
(field_declaration (variable_declaration
  type: (_) @type
  (variable_declarator name: (identifier) @name))) @definition.field
(event_field_declaration (variable_declaration
  type: (_) @type
  (variable_declarator name: (identifier) @name))) @definition.field
(record_declaration (parameter_list (parameter type: (_) @type name: (identifier) @name) @definition.field))

(local_declaration_statement (variable_declaration
  type: (_) @type
  (variable_declarator name: (identifier) @name "=" . (_) @value))) @local
(local_declaration_statement (variable_declaration type: (_) @type (variable_declarator name: (identifier) @name))) @local
(parameter type: (_) @type name: (identifier) @name) @local
(foreach_statement type: (_) @type left: (identifier) @name) @local
(declaration_pattern type: (_) @type name: (identifier) @name) @local
(catch_declaration type: (_) @type name: (identifier) @name) @local

(using_directive !name [(identifier) (qualified_name)] @module .) @import @all
(using_directive name: (identifier) @alias "=" (_) @module) @import

(identifier) @reference
(invocation_expression function: [
  (identifier) @reference.call
  (generic_name . (identifier) @reference.call)
  (member_access_expression name: (identifier) @reference.call)
  (member_access_expression name: (generic_name . (identifier) @reference.call))
  (conditional_access_expression (member_binding_expression name: (identifier) @reference.call))
])
(object_creation_expression type: [
  (identifier) @reference.call
  (generic_name . (identifier) @reference.call)
  (qualified_name name: (identifier) @reference.call)
])

(namespace_declaration name: (_) @skipped)
(file_scoped_namespace_declaration name: (_) @skipped)
(type_parameter name: (identifier) @defined)
(parameter name: (identifier) @defined)
(argument name: (identifier) @defined)
(implicit_parameter) @defined
(variable_declarator name: (identifier) @defined)

(comment) @comment
(attribute_list) @attribute
