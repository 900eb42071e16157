(package_declaration (_) @name) @definition.module
(class_declaration
  name: (identifier) @name
  superclass: (_)? @bases
  interfaces: (_)? @bases
  body: (_) @body) @definition.class
(record_declaration name: (identifier) @name interfaces: (_)? @bases body: (_) @body) @definition.class
(interface_declaration name: (identifier) @name (extends_interfaces)? @bases body: (_) @body) @definition.interface
(annotation_type_declaration name: (identifier) @name body: (_) @body) @definition.interface
(enum_declaration name: (identifier) @name interfaces: (_)? @bases body: (_) @body) @definition.enum
(enum_constant name: (identifier) @name) @definition.constant

(method_declaration type: (_) @type name: (identifier) @name body: (_)? @body) @definition.method
(constructor_declaration name: (identifier) @name body: (_) @body) @definition.method
(compact_constructor_declaration name: (identifier) @name body: (_) @body) @definition.method
(annotation_type_element_declaration type: (_) @type name: (identifier) @name) @definition.method

(field_declaration type: (_) @type declarator: (variable_declarator name: (identifier) @name value: (_)? @value)) @definition.field
(constant_declaration type: (_) @type declarator: (variable_declarator name: (identifier) @name)) @definition.constant
(record_declaration parameters: (formal_parameters (formal_parameter type: (_) @type name: (identifier) @name) @definition.field))

(local_variable_declaration type: (_) @type declarator: (variable_declarator name: (identifier) @name value: (_)? @value)) @local
(formal_parameter type: (_) @type name: (identifier) @name) @local
(catch_formal_parameter (catch_type . (_) @type) name: (identifier) @name) @local
(enhanced_for_statement type: (_) @type name: (identifier) @name) @local
(resource type: (_) @type name: (identifier) @name value: (_) @value) @local
(instanceof_expression right: (_) @type name: (identifier) @name) @local

(import_declaration [(scoped_identifier) (identifier)] @tree .) @import
(import_declaration (scoped_identifier) @module (asterisk) @all) @import

[(identifier) (type_identifier)] @reference
(method_invocation name: (identifier) @reference.call)
(object_creation_expression type: [(type_identifier) @reference.call (generic_type . (type_identifier) @reference.call)])

(package_declaration) @skipped
(formal_parameter name: (identifier) @defined)
(spread_parameter (variable_declarator name: (identifier) @defined))
(lambda_expression parameters: (identifier) @defined)
(inferred_parameters (identifier) @defined)
(catch_formal_parameter name: (identifier) @defined)
(type_parameter . (type_identifier) @defined)
(element_value_pair key: (identifier) @defined)
(variable_declarator name: (identifier) @defined)

[(line_comment) (block_comment)] @comment
[(marker_annotation) (annotation)] @attribute
