mod golden;
mod laws;
mod support;
