; Scripts and styles are outlined by their own languages.

(attribute
  (attribute_name) @id
  (quoted_attribute_value (attribute_value) @name)
  (#eq? @id "id")) @definition.field
(attribute (attribute_name) @id (attribute_value) @name (#eq? @id "id")) @definition.field

(script_element (start_tag
  (attribute (attribute_name) @src (quoted_attribute_value (attribute_value) @module)) @import)
  (#eq? @src "src"))
(element [
  (start_tag
    (tag_name) @link
    (attribute (attribute_name) @href (quoted_attribute_value (attribute_value) @module)) @import)
  (self_closing_tag
    (tag_name) @link
    (attribute (attribute_name) @href (quoted_attribute_value (attribute_value) @module)) @import)
  ]
  (#eq? @link "link")
  (#eq? @href "href"))

; Components
(start_tag (tag_name) @reference @reference.call (#match? @reference "^[A-Z]"))
(self_closing_tag (tag_name) @reference @reference.call (#match? @reference "^[A-Z]"))

(comment) @comment
