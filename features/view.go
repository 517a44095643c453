package features

import "pitboss/features/tiles"

// view is how one group of one entity is read with the event, as placed, and without it. Nearly always both are the state
// itself, with the event added or left out on the fly. What the event takes back is void in both: whether the event is
// inside already must not matter, nor whether another one takes the same back. An event that is void itself is read as it
// was placed. These are read from a copy.
type view struct {
	with, without *tiles.State
	plus, minus   *tiles.Contribution
}

// view gives the view of a group; the caller holds the entity's lock.
func (p *prepared) view(pe *preparedEntity, gb *groupBinding, horizon int64, inside bool) view {
	state := &pe.e.groups[gb.slot]
	c := p.contribution(pe, gb.slot)
	v := view{with: state, without: state, plus: c}
	switch {
	case len(p.corrections) == 0 && p.void == 0: // nearly always
		if inside {
			v.plus, v.minus = nil, c
		}
	case inside && c != nil && gb.group.voids(p.void):
		v.with, v.plus = state.Clone(), nil
		v.with.Restore(gb.group.layout, c, horizon)
		v.without, v.minus = v.with, c // void it would keep its place among the newest
	case inside:
		v.plus, v.minus = nil, c
	default:
		v.with = p.corrected(pe, gb, horizon, state)
		v.without = v.with
	}
	return v
}

// corrected gives a group's state without what the event takes back.
func (p *prepared) corrected(pe *preparedEntity, gb *groupBinding, horizon int64, state *tiles.State) *tiles.State {
	for i := range p.corrections {
		cor := &p.corrections[i]
		if cor.lostAt != 0 && p.mayHold(pe.kind, gb.slot, cor) {
			state = state.Clone()
			state.Miss(cor.lostAt, horizon)
		}
		if cor.original.IsZero() || !cor.inside(&pe.e.entityState) || !cor.changes(gb.group.group) || !gb.group.from.Less(cor.original) {
			continue
		}
		for _, ce := range cor.entities {
			if &p.entities[ce.at] != pe {
				continue
			}
			for g := ce.from; g < ce.to; g++ {
				if p.groups[g].slot == gb.slot {
					state = state.Clone()
					state.Void(gb.group.layout, &p.groups[g].c, horizon)
				}
			}
		}
	}
	return state
}
