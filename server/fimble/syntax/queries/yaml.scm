(block_mapping_pair key: (flow_node) @name value: (block_node) @body) @definition.field
(block_mapping_pair key: (flow_node) @name) @definition.field

(comment) @comment
