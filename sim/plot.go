package sim

import "fmt"

// plot is what somebody does besides playing. It acts when its time has come, in the order of all other acts, and gives
// the time of its next one, 0 for none.
type plot interface {
	act(s *Sim, p *player, now int64) int64
}

// eachAgent makes agents that work alone: each has its own chance and mimicry.
func (s *Sim) eachAgent(t Typology, idx []int32, build func(rng *stream, p *player, m float64)) {
	for n, i := range idx {
		rng := newStream(s.cfg.Seed, purposeAgent, uint64(t), uint64(n))
		build(&rng, &s.players[i], s.mimicry(&rng, t))
	}
}

// eachGroup makes groups of agents, each of size accounts but for the last, which takes what is left.
func (s *Sim) eachGroup(t Typology, idx []int32, size func(rng *stream) int, build func(rng *stream, g *group)) {
	smallest := fraudKinds()[t].smallest
	for n := uint64(0); len(idx) > 0; n++ {
		rng := newStream(s.cfg.Seed, purposeAgent, uint64(t), n)
		k := min(size(&rng), len(idx))
		if len(idx)-k < smallest {
			k = len(idx)
		}
		g := &group{typology: t, name: fmt.Sprintf("%s-%d", t, n+1), mimicry: s.mimicry(&rng, t), idx: idx[:k]}
		build(&rng, g)
		idx = idx[k:]
	}
}

// group is agents that work together.
type group struct {
	typology Typology
	name     string
	mimicry  float64
	idx      []int32
}

func (g *group) role(part string) *role {
	return &role{typology: g.typology.String(), role: part, ring: g.name, mimicry: g.mimicry, fraud: true}
}

// mimicry draws an agent's own.
func (s *Sim) mimicry(rng *stream, t Typology) float64 {
	r := s.cfg.Mix.Frauds[t].Mimicry
	return rng.between(r.Min, r.Max)
}

// role is the truth about an agent that works alone.
func (s *Sim) role(t Typology, p *player, part string, m float64) *role {
	return &role{typology: t.String(), role: part, ring: fmt.Sprintf("%s-%s", t, keyText("", uint64(p.idx))[10:]), mimicry: m, fraud: true}
}

// regular makes an agent come often, for as long as people do.
func (s *Sim) regular(rng *stream, h *habit) {
	h.activeShare, h.again = 0.8, 0.4
	h.sessionMedian, h.sessionSigma = 40*minute, 0.7
	h.chases = false
	h.deposit = rng.lognormal(50, 0.5)
}

// lerp3 interpolates between the values at mimicry 0, .5 and 1.
func lerp3(m, zero, half, one float64) float64 {
	if m < 0.5 {
		return lerp(zero, half, 2*m)
	}
	return lerp(half, one, float64(2*m)-1)
}

// logInterpolate does so in the logarithm, for times and rates: none of the three may be 0.
func logInterpolate(m, zero, half, one float64) float64 {
	return exp(lerp3(m, logarithm(zero), logarithm(half), logarithm(one)))
}
