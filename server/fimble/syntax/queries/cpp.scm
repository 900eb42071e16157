; What C++ has beyond C

(function_definition
  type: (_)? @type
  declarator: [
    (function_declarator declarator: [(field_identifier) (destructor_name) (operator_name)] @name)
    (pointer_declarator declarator: (function_declarator declarator: [(field_identifier) (operator_name)] @name))
    (reference_declarator (function_declarator declarator: [(identifier) (field_identifier) (operator_name)] @name))
  ]
  body: (_)? @body) @definition.function
(function_definition
  type: (_)? @type
  declarator: [
    (function_declarator
      declarator: (qualified_identifier scope: (_) @container name: [(identifier) (destructor_name) (operator_name)] @name))
    (function_declarator
      declarator: (qualified_identifier
        name: (qualified_identifier scope: (_) @container name: [(identifier) (destructor_name) (operator_name)] @name)))
    (pointer_declarator declarator: (function_declarator
      declarator: (qualified_identifier scope: (_) @container name: [(identifier) (operator_name)] @name)))
    (reference_declarator (function_declarator
      declarator: (qualified_identifier scope: (_) @container name: [(identifier) (operator_name)] @name)))
  ]
  body: (_)? @body) @definition.function
(field_declaration
  type: (_) @type
  declarator: [
    (function_declarator declarator: [(field_identifier) (operator_name)] @name)
    (pointer_declarator declarator: (function_declarator declarator: [(field_identifier) (operator_name)] @name))
    (reference_declarator (function_declarator declarator: [(field_identifier) (operator_name)] @name))
  ]) @definition.function
(declaration declarator: (function_declarator declarator: [(identifier) (destructor_name)] @name)) @definition.function
(declaration
  type: (_) @type
  declarator: (reference_declarator (function_declarator declarator: [(identifier) (operator_name)] @name))) @definition.function

(class_specifier name: (_) @name (base_class_clause)? @bases body: (_) @body) @definition.class
(struct_specifier name: (_) @name (base_class_clause) @bases body: (_) @body) @definition.class
(namespace_definition name: (_) @name body: (_) @body) @definition.module
(alias_declaration name: (_) @name type: (_) @type) @definition.type
(concept_definition name: (_) @name) @definition.type

(field_declaration type: (_) @type declarator: (reference_declarator (field_identifier) @name)) @definition.field
(declaration
  type: (_) @type
  declarator: (init_declarator declarator: (reference_declarator (identifier) @name) value: (_) @value)) @definition.variable
(parameter_declaration type: (_) @type declarator: (reference_declarator (identifier) @name)) @local
(optional_parameter_declaration
  type: (_) @type
  declarator: [
    (identifier) @name
    (pointer_declarator declarator: (identifier) @name)
    (reference_declarator (identifier) @name)
  ]) @local
(for_range_loop type: (_) @type declarator: [(identifier) @name (reference_declarator (identifier) @name)]) @local

(template_declaration (_) @inner .) @outer

(using_declaration "namespace" [(identifier) (qualified_identifier)] @module) @import @all
(using_declaration . "using" . (qualified_identifier) @tree) @import

(namespace_identifier) @reference
(call_expression function: [
  (qualified_identifier name: (identifier) @reference.call)
  (qualified_identifier name: (qualified_identifier name: (identifier) @reference.call))
  (template_function name: (identifier) @reference.call)
  (qualified_identifier name: (template_function name: (identifier) @reference.call))
  (field_expression field: (template_method name: (field_identifier) @reference.call))
])
(new_expression type: [
  (type_identifier) @reference.call
  (template_type name: (type_identifier) @reference.call)
  (qualified_identifier name: (type_identifier) @reference.call)
])

(namespace_definition name: (_) @skipped)
(destructor_name (identifier) @defined)
(reference_declarator (identifier) @defined)
(type_parameter_declaration (type_identifier) @defined)
(function_declarator declarator: (qualified_identifier) @skipped)
(lambda_capture_specifier (identifier) @reference)
