"""From sightings of the target to the next thing to say: phases, planner, pacing, phrases."""
