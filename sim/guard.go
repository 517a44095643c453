package sim

import (
	"math"

	pb "pitboss/proto/pitboss/v1"
)

// clientProgram is what a player's client is and tells of itself.
type clientProgram struct {
	// blocked clients send no telemetry: 3 % of honest ones do not [A].
	blocked           bool
	renderer          string
	platform, browser string
	touch             int64
	// slope is how fast its clock runs away, in parts per million; offset where it stands, in milliseconds.
	slope, offset int64
	// gestures is the share of manual bets with a gesture, trusted whether the browser vouches for them.
	gestures float64
	trusted  bool
	// flags are automation's marks.
	flags uint64
}

func newClient(rng *stream) clientProgram {
	c := clientProgram{
		blocked:  rng.chance(0.03),
		renderer: [...]string{"hardware", "software", "virtual"}[rng.pick([]int{965, 30, 5})],
		slope:    int64(40 * rng.normal()), offset: int64(60 * rng.normal()),
		gestures: 1, trusted: true,
	}
	switch rng.pick([]int{45, 30, 25}) {
	case 0:
		c.platform, c.browser = "windows", [...]string{"chrome", "firefox"}[rng.pick([]int{85, 15})]
	case 1:
		c.platform, c.browser, c.touch = "android", "chrome", 5
	default:
		c.platform, c.browser, c.touch = "ios", "safari", 5
	}
	return c
}

// guardState is what the guard has gathered since its last batch.
type guardState struct {
	seq, gestures, trusted uint64
	// Gaps between bets in milliseconds: how many, their sum, their squares' sum, the shortest.
	gaps, sum, squares, shortest int64
	last, since                  int64
}

// batchRounds is how many rounds a batch is about.
const batchRounds = 20

// gesture notes a bet's press, and says whether the client reported one.
func (s *Sim) gesture(p *player, at int64, mode string) bool {
	g, c := &p.session.guard, &p.client
	if g.last > 0 {
		gap := (at - g.last) / millisecond
		if gap < 300_000 {
			if g.gaps == 0 || gap < g.shortest {
				g.shortest = gap
			}
			g.gaps++
			g.sum += gap
			g.squares += gap * gap
		}
	}
	g.last = at
	made := p.rng.chance(c.gestures)
	if mode != "manual" || !made || c.blocked {
		return false
	}
	g.gestures++
	if c.trusted {
		g.trusted++
	}
	return true
}

// report sends a batch. Of a blocked client nothing comes.
func (s *Sim) report(p *player, at int64) {
	g, c, rng := &p.session.guard, &p.client, &p.rng
	dropped, hash := rng.chance(0.01), rng.chance(p.habit.cheat.badHash)
	sway := rng.normal()
	if c.blocked {
		return
	}
	g.seq++
	b := s.news(p, at, "guard.batch", producerGuard, aboutVisit|aboutSession)
	b.ev.Trust = pb.Trust_TRUST_CLIENT
	span, gaps, flags := (at-g.since)/millisecond, g.gaps, c.flags
	frame, slope := int64(16_667), c.slope
	frameSD := int64(60) // an idle screen is this even: software renderers always are
	if c.renderer == "hardware" {
		frameSD = int64(2_000 * exp(0.5*sway))
	}
	offset := c.offset + slope*((at-p.session.start)/second)/1000
	touch := c.touch
	batch := &pb.GuardBatch{
		Seq: g.seq, Gestures: int64(g.gestures), TrustedGestures: int64(g.trusted), RendererClass: c.renderer, HashOk: !hash,
		SpanMs: &span, Gaps: &gaps, FrameP50Us: &frame, FrameSdUs: &frameSD, AutomationFlags: &flags,
		ClockOffsetMs: &offset, ClockSlopePpm: &slope, Platform: c.platform, Browser: c.browser, TouchPoints: &touch,
	}
	if dropped {
		batch.Dropped = 1
	}
	if g.gaps >= 2 {
		shortest, cv := g.shortest, g.variation()
		batch.GapMinMs, batch.GapCvPpm = &shortest, &cv
	}
	b.ev.Payload = &pb.Event_GuardBatch{GuardBatch: batch}
	p.tell(b)
	*g = guardState{seq: g.seq, last: g.last, since: at}
	if hash {
		s.integrity(p, at+1)
	}
}

// variation is the gaps' coefficient of variation in parts per million.
func (g *guardState) variation() int64 {
	n := float64(g.gaps)
	mean := float64(g.sum) / n
	if mean <= 0 {
		return 0
	}
	return int64(math.Sqrt(max(float64(g.squares)/n-float64(mean*mean), 0)) / mean * 1e6)
}

// integrity says that the client's program is not the one that was delivered.
func (s *Sim) integrity(p *player, at int64) {
	b := s.news(p, at, "guard.integrity", producerGuard, aboutVisit|aboutSession)
	b.ev.Trust = pb.Trust_TRUST_CLIENT
	b.ev.Payload = &pb.Event_GuardIntegrity{GuardIntegrity: &pb.GuardIntegrity{
		Asset: "bundle", ExpectedHash: digestText(0xb0d1e), ActualHash: digestText(p.rng.pcg.Uint64()),
	}}
	p.tell(b)
}

// digestText is 64 hexadecimal digits that stand for a digest of what is not there.
func digestText(key uint64) string {
	var buf [64]byte
	out := buf[:0]
	for i := range uint64(4) {
		out = appendHex(out, mix(key, i))
	}
	return string(out)
}
