; Elements are calls of what makes them

(jsx_opening_element name: [(identifier) @reference.call (member_expression property: (_) @reference.call)])
(jsx_self_closing_element name: [(identifier) @reference.call (member_expression property: (_) @reference.call)])
(jsx_closing_element name: (_) @skipped)
