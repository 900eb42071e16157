(table . [(bare_key) (quoted_key) (dotted_key)] @name . (_)? @body) @definition.section
(table_array_element . [(bare_key) (quoted_key) (dotted_key)] @name . (_)? @body) @definition.section
(pair . [(bare_key) (quoted_key) (dotted_key)] @name) @definition.field

(comment) @comment
