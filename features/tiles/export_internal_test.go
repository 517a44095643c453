package tiles

// Tiles is how many tiles the state has, for the benchmarks.
func (s *State) Tiles(l *Layout) int { return len(s.tiles) / s.stride(l) }
