(rule_set
  (selectors [
    (class_selector (class_name (identifier) @name))
    (_ (class_selector (class_name (identifier) @name)))
  ])
  (block) @body) @definition.class
(rule_set
  (selectors [
    (id_selector (id_name) @name)
    (_ (id_selector (id_name) @name))
  ])
  (block) @body) @definition.constant
(keyframes_statement (keyframes_name) @name (keyframe_block_list) @body) @definition.constant
(declaration (property_name) @name (#match? @name "^--")) @definition.field

(import_statement [
  (string_value) @module
  (call_expression (arguments (string_value) @module))
]) @import @all

(call_expression
  (function_name) @var
  (arguments (plain_value) @reference)
  (#eq? @var "var"))

(comment) @comment
