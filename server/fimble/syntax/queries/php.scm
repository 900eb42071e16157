(namespace_definition name: (_) @name body: (_)? @body) @definition.module
(function_definition name: (name) @name return_type: (_)? @type body: (_) @body) @definition.function
(method_declaration name: (name) @name return_type: (_)? @type body: (_)? @body) @definition.function
(class_declaration
  name: (name) @name
  (base_clause)? @bases
  (class_interface_clause)? @bases
  body: (_) @body) @definition.class
(interface_declaration name: (name) @name (base_clause)? @bases body: (_) @body) @definition.interface
(trait_declaration name: (name) @name body: (_) @body) @definition.interface
(enum_declaration name: (name) @name (class_interface_clause)? @bases body: (_) @body) @definition.enum
(enum_case name: (name) @name) @definition.constant
(const_declaration (const_element . (name) @name)) @definition.constant
(function_call_expression
  function: (name) @define
  arguments: (arguments . (argument (string (string_content) @name)))
  (#eq? @define "define")) @definition.constant
(class_declaration
  name: (name) @name
  body: (declaration_list (use_declaration (_) @bases))) @inherits

(property_declaration type: (_)? @type (property_element name: (variable_name (name) @name))) @definition.field
(property_promotion_parameter type: (_)? @type name: (variable_name (name) @name)) @definition.field
(assignment_expression
  left: (member_access_expression object: (variable_name (name) @self) name: (name) @name)
  right: (_) @value
  (#eq? @self "this")) @definition.field

(assignment_expression left: (variable_name (name) @name) right: (_) @value) @definition.variable
(simple_parameter type: (_) @type name: (variable_name (name) @name)) @local
(catch_clause type: (_) @type name: (variable_name (name) @name)) @local

(namespace_use_declaration (namespace_use_clause) @tree !body) @import
(namespace_use_declaration (namespace_name) body: (_)) @tree @import
(require_expression (string) @module) @import @all
(require_once_expression (string) @module) @import @all
(include_expression (string) @module) @import @all
(include_once_expression (string) @module) @import @all

(name) @reference
(function_call_expression function: [(name) @reference.call (qualified_name (name) @reference.call .)])
(member_call_expression name: (name) @reference.call)
(nullsafe_member_call_expression name: (name) @reference.call)
(scoped_call_expression name: (name) @reference.call)
(object_creation_expression [(name) @reference.call (qualified_name (name) @reference.call .)])

(namespace_definition name: (_) @skipped)
(simple_parameter name: (variable_name (name) @defined))
(variadic_parameter name: (variable_name (name) @defined))
(foreach_statement (pair (variable_name (name) @defined)))
(argument name: (name) @defined)

(comment) @comment
(attribute_list) @attribute
