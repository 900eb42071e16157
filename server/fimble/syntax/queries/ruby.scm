(method name: (_) @name body: (_)? @body) @definition.function
(singleton_method name: (_) @name body: (_)? @body) @definition.function
(class name: (constant) @name superclass: (superclass (_) @bases)? body: (_)? @body) @definition.class
(class name: (scope_resolution name: (constant) @name) superclass: (superclass (_) @bases)? body: (_)? @body) @definition.class
(module name: (constant) @name body: (_)? @body) @definition.module
(module name: (scope_resolution name: (constant) @name) body: (_)? @body) @definition.module
(class
  name: (constant) @name
  body: (body_statement (call method: (identifier) @mixin arguments: (argument_list (_) @bases)))
  (#any-of? @mixin "include" "extend" "prepend")) @inherits

(assignment left: (constant) @name right: (_)? @value) @definition.constant
(assignment left: (identifier) @name right: (_) @value) @definition.variable
(assignment left: [(instance_variable) (class_variable)] @name right: (_) @value) @definition.field
(assignment left: (global_variable) @name right: (_) @value) @definition.variable
(call
  method: (identifier) @attr
  arguments: (argument_list (simple_symbol) @name)
  (#any-of? @attr "attr_reader" "attr_writer" "attr_accessor")) @definition.field

(call
  !receiver
  method: (identifier) @require
  arguments: (argument_list . (string) @module .)
  (#any-of? @require "require" "load")) @import @all
(call
  !receiver
  method: (identifier) @require
  arguments: (argument_list . (string) @module @relative .)
  (#eq? @require "require_relative")) @import @all

[(identifier) (constant) (instance_variable) (class_variable) (global_variable)] @reference
(call method: (_) @reference.call)

(method_parameters (identifier) @defined)
(lambda_parameters (identifier) @defined)
(block_parameters (identifier) @defined)
(optional_parameter name: (identifier) @defined)
(keyword_parameter name: (identifier) @defined)
(splat_parameter name: (identifier) @defined)
(hash_splat_parameter name: (identifier) @defined)
(block_parameter name: (identifier) @defined)
(left_assignment_list (identifier) @defined)
(exception_variable (identifier) @defined)
(for pattern: (identifier) @defined)

(comment) @comment
