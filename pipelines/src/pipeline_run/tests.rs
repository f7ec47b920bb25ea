mod ending;
mod rules;
mod simulation;
mod world;
