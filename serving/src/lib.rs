//! Reconcilers and admission of Service, Configuration, Revision and Route.
