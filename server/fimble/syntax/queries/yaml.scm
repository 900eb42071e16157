(block_mapping_pair key: (flow_node) @name value: (block_node (block_mapping) @body)) @definition.field
(block_mapping_pair key: (flow_node) @name) @definition.field

(comment) @comment
