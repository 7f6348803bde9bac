//! Every change of state an event can go through, and the ones it must not.
