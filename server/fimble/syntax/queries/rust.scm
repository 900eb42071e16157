(function_item name: (identifier) @name return_type: (_)? @type body: (block) @body) @definition.function
(function_signature_item name: (identifier) @name return_type: (_)? @type) @definition.function
(struct_item name: (type_identifier) @name body: (field_declaration_list)? @body) @definition.class
(union_item name: (type_identifier) @name body: (_) @body) @definition.class
(enum_item name: (type_identifier) @name body: (_) @body) @definition.enum
(enum_variant name: (identifier) @name) @definition.constant
(trait_item name: (type_identifier) @name bounds: (_)? @bases body: (_) @body) @definition.interface
(type_item name: (type_identifier) @name type: (_) @type) @definition.type
(associated_type name: (type_identifier) @name) @definition.type
(mod_item name: (identifier) @name body: (_)? @body) @definition.module
(macro_definition name: (identifier) @name) @definition.macro
(const_item name: (identifier) @name type: (_) @type) @definition.constant
(static_item name: (identifier) @name type: (_) @type) @definition.constant
(field_declaration name: (field_identifier) @name type: (_) @type) @definition.field

(impl_item trait: (_)? @bases type: (_) @name body: (_)) @scope

(let_declaration pattern: (identifier) @name type: (_)? @type value: (_)? @value) @local
(parameter pattern: (identifier) @name type: (_) @type) @local
(parameter pattern: (mut_pattern (identifier) @name) type: (_) @type) @local

(use_declaration argument: (_) @tree) @import
(extern_crate_declaration name: (identifier) @module alias: (identifier)? @alias) @import
(mod_item name: (identifier) @module !body) @import

[(identifier) (field_identifier) (type_identifier) (shorthand_field_identifier)] @reference
(call_expression function: [
  (identifier) @reference.call
  (field_expression field: (field_identifier) @reference.call)
  (scoped_identifier name: (identifier) @reference.call)
  (generic_function function: (identifier) @reference.call)
  (generic_function function: (scoped_identifier name: (identifier) @reference.call))
  (generic_function function: (field_expression field: (field_identifier) @reference.call))
])
(macro_invocation macro: [(identifier) @reference.call (scoped_identifier name: (identifier) @reference.call)])

(let_declaration pattern: (identifier) @defined)
(parameter pattern: (identifier) @defined)
(parameter pattern: (mut_pattern (identifier) @defined))
(let_declaration pattern: (mut_pattern (identifier) @defined))
(closure_parameters (identifier) @defined)
(tuple_pattern (identifier) @defined)
(tuple_struct_pattern type: (_) (identifier) @defined)
(ref_pattern (identifier) @defined)
(captured_pattern . (identifier) @defined)
(for_expression pattern: (identifier) @defined)
(lifetime (identifier) @defined)
(type_parameter name: (type_identifier) @defined)
(field_initializer field: (field_identifier) @defined)

[(line_comment) (block_comment)] @comment
(attribute_item) @attribute
