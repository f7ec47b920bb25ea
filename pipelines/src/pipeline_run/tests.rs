mod rules;
mod simulation;
mod world;
