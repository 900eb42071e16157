; What TypeScript has beyond JavaScript

(abstract_class_declaration name: (_) @name (class_heritage)? @bases body: (_) @body) @definition.class
(interface_declaration name: (_) @name (extends_type_clause)? @bases body: (_) @body) @definition.interface
(type_alias_declaration name: (_) @name value: (_) @value) @definition.type
(type_alias_declaration name: (_) @name value: (object_type) @body) @definition.type
(enum_declaration name: (_) @name body: (_) @body) @definition.enum
(enum_body [(property_identifier) @name (enum_assignment name: (property_identifier) @name)] @definition.constant)
(internal_module name: (_) @name body: (_) @body) @definition.module
(module name: (identifier) @name body: (_)? @body) @definition.module
(module name: (string (string_fragment) @name) body: (_)? @body) @definition.module

(function_declaration name: (_) @name return_type: (_) @type body: (_) @body) @definition.function
(function_signature name: (_) @name return_type: (_)? @type) @definition.function
(method_definition name: (_) @name return_type: (_) @type body: (_) @body) @definition.function
(method_signature name: (_) @name return_type: (_)? @type) @definition.function
(abstract_method_signature name: (_) @name return_type: (_)? @type) @definition.function
(variable_declarator
  name: (identifier) @name
  value: (arrow_function return_type: (_) @type body: (_) @body)) @definition.function

(variable_declarator name: (identifier) @name type: (_) @type value: (_)? @value) @definition.variable
(public_field_definition name: (_) @name type: (_)? @type value: (_)? @value) @definition.field
(public_field_definition name: (_) @name type: (_)? @type value: (arrow_function body: (_) @body)) @definition.function
(property_signature name: (_) @name type: (_)? @type) @definition.field

(required_parameter pattern: (identifier) @name type: (_) @type) @local
(optional_parameter pattern: (identifier) @name type: (_) @type) @local
(required_parameter (accessibility_modifier) pattern: (identifier) @name type: (_) @type) @definition.field

(ambient_declaration (_) @inner) @outer

(import_statement (import_require_clause (identifier) @alias source: (string) @module)) @import

(type_identifier) @reference
(internal_module name: (_) @skipped)
(nested_type_identifier name: (type_identifier) @reference)
(new_expression constructor: (identifier) @reference.call)

(required_parameter pattern: (identifier) @defined)
(optional_parameter pattern: (identifier) @defined)
(type_parameter name: (type_identifier) @defined)
