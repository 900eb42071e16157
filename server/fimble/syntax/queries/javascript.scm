; What JavaScript names otherwise than TypeScript

(field_definition property: (_) @name value: (_)? @value) @definition.field
(field_definition property: (_) @name value: (arrow_function body: (_) @body)) @definition.function

(formal_parameters (identifier) @defined)
(formal_parameters (assignment_pattern left: (identifier) @defined))
