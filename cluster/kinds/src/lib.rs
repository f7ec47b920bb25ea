//! The table of built-in kinds: names, schemas, defaults, validation, protobuf, printer columns, OpenAPI.
