package sim

import (
	"math"
	"slices"
	"time"

	pb "pitboss/proto/pitboss/v1"
)

// Report gathers what a casino did, for a page that shows it: players, money and agents over time, and the gaps and stakes
// of honest players and of each agent. It keeps fixed histograms and a few words for each player.
type Report struct {
	cfg    Config
	start  int64
	width  int64
	bins   int
	counts []Count

	events uint64
	// types counts the events of each type, of honest players and of frauds.
	types   map[string][2]uint64
	groups  map[groupKey]*reportGroup
	players map[string]*reportPlayer
	// Of honest players in euros and pounds, what the published figures are about.
	published publishedFigures
	// By time: active honest and fraudulent players, stakes, what the house keeps, and what frauds cost, in units.
	active       [2][]float64
	staked, kept []float64
	lost         []float64
	lossOf       map[string]float64
}

// groupKey is whom a histogram is of: a look-alike, or a fraud at a level of mimicry (0, 1, 2: thirds).
type groupKey struct {
	name  string
	fraud bool
	level int
}

type reportGroup struct {
	gaps, stakes *histogram
	players      int
	events       []float64
}

// reportPlayer is what is kept of a player.
type reportPlayer struct {
	lastBet, day int64
	// bets on days with any.
	bets, days int
	lastBin    int
	group      *reportGroup
}

// publishedFigures gathers the figures that have a source.
type publishedFigures struct {
	sessions, gaps, stakes *histogram
	long, small            float64
	staked, won            float64
}

const (
	// reportBins is how many steps of time there are at most, histogramBins how many a histogram has.
	reportBins, histogramBins = 336, 36
	shortestGap, longestGap   = 0.5, 120.0
	lowestStake, highestStake = 0.1, 200.0
)

// NewReport makes a report of a casino of that configuration.
func NewReport(cfg Config) *Report {
	bins := int(min(cfg.span()/hour+1, reportBins))
	r := &Report{
		cfg: cfg, start: cfg.Start.UnixMicro(), bins: bins, width: max(cfg.span()/int64(bins), 1),
		types: map[string][2]uint64{}, groups: map[groupKey]*reportGroup{}, players: map[string]*reportPlayer{}, lossOf: map[string]float64{},
		staked: make([]float64, bins), kept: make([]float64, bins), lost: make([]float64, bins),
		published: publishedFigures{
			sessions: newHistogram(0.01, 720, 400), gaps: newHistogram(0.5, 300, 400), stakes: newHistogram(0.05, 1000, 400),
		},
	}
	for _, n := range cfg.accountsOf() {
		r.counts = append(r.counts, n)
	}
	for i := range r.active {
		r.active[i] = make([]float64, bins)
	}
	return r
}

// bin is the step of time of a moment; what comes after the end is in the last one.
func (r *Report) bin(at int64) int { return int(min(max((at-r.start)/r.width, 0), int64(r.bins-1))) }

// See counts an event and the truth about it. Events come in the order of the casino.
func (r *Report) See(ev *pb.Event, truth Truth) {
	r.events++
	n, who := r.types[ev.GetType()], 0
	if truth.Fraud {
		who = 1
	}
	n[who]++
	r.types[ev.GetType()] = n
	at := ev.GetOccurredAt().AsTime().UnixMicro()
	bin := r.bin(at)
	g := r.group(truth)
	g.events[bin]++
	unit := unitOf(ev, truth)
	if loss := float64(truth.LossMinor) / unit; loss > 0 {
		r.lost[bin] += loss
		r.lossOf[truth.Typology] += loss
	}
	if len(ev.GetEntities()) == 0 || ev.GetEntities()[0].GetKind() != "player" {
		return
	}
	p := r.player(truth, g, bin)
	// Those who lose hold of it are among the players that others counted, and so are those who look like frauds.
	counted := !truth.Fraud && ev.GetBrand() != "nordspin-se"
	switch payload := ev.GetPayload().(type) {
	case *pb.Event_BetPlaced:
		stake := float64(payload.BetPlaced.GetAmount().GetAmountMinor()) / unit
		r.bet(p, at, stake, counted)
		r.staked[bin] += stake
		r.kept[bin] += stake
	case *pb.Event_WinCredited:
		win := float64(payload.WinCredited.GetAmount().GetAmountMinor()) / unit
		r.kept[bin] -= win
		if counted {
			r.published.won += win
		}
	case *pb.Event_BetRolledBack:
		r.kept[bin] -= float64(payload.BetRolledBack.GetAmount().GetAmountMinor()) / unit
	case *pb.Event_SessionEnded:
		if minutes := float64(payload.SessionEnded.GetDurationMs()) / 60_000; counted {
			r.published.sessions.add(minutes)
			if minutes > 60 {
				r.published.long++
			}
		}
	}
}

// unitOf is what a unit has in minor units: a pound, a euro, ten crowns.
func unitOf(ev *pb.Event, truth Truth) float64 {
	currency := truth.Currency
	switch p := ev.GetPayload().(type) {
	case *pb.Event_BetPlaced:
		currency = p.BetPlaced.GetAmount().GetCurrency()
	case *pb.Event_WinCredited:
		currency = p.WinCredited.GetAmount().GetCurrency()
	case *pb.Event_BetRolledBack:
		currency = p.BetRolledBack.GetAmount().GetCurrency()
	}
	if currency == "SEK" {
		return 1000
	}
	return 100
}

func (r *Report) group(truth Truth) *reportGroup {
	key := groupKey{name: truth.Role}
	switch {
	case truth.Fraud:
		key = groupKey{truth.Typology, true, min(int(truth.Mimicry*3), 2)}
	case truth.Role == "" || truth.Role == "victim":
		key.name = "ordinary"
	}
	g := r.groups[key]
	if g == nil {
		g = &reportGroup{
			gaps:   newHistogram(shortestGap, longestGap, histogramBins),
			stakes: newHistogram(lowestStake, highestStake, histogramBins), events: make([]float64, r.bins),
		}
		r.groups[key] = g
	}
	return g
}

func (r *Report) player(truth Truth, g *reportGroup, bin int) *reportPlayer {
	p := r.players[truth.Player]
	if p == nil {
		p = &reportPlayer{lastBin: -1, group: g}
		r.players[truth.Player] = p
		g.players++
	}
	if p.lastBin != bin {
		p.lastBin = bin
		who := 0
		if truth.Fraud {
			who = 1
		}
		r.active[who][bin]++
	}
	return p
}

func (r *Report) bet(p *reportPlayer, at int64, stake float64, counted bool) {
	gap := float64(at-p.lastBet) / float64(second)
	if p.lastBet > 0 && gap < 300 {
		p.group.gaps.add(gap)
		if counted {
			r.published.gaps.add(gap)
		}
	}
	p.lastBet = at
	p.group.stakes.add(stake)
	if !counted {
		return
	}
	f := &r.published
	f.stakes.add(stake)
	f.staked += stake
	if stake < 1 {
		f.small++
	}
	if today := at / day; today != p.day {
		p.day = today
		p.days++
	}
	p.bets++
}

// histogram counts values in bins of even width in the logarithm; what is outside is in the first or last bin.
type histogram struct {
	low, step float64
	bins      []float64
	n, sum    float64
}

func newHistogram(low, high float64, bins int) *histogram {
	return &histogram{low: low, step: logarithm(high/low) / float64(bins), bins: make([]float64, bins)}
}

func (h *histogram) add(x float64) {
	h.n++
	h.sum += x
	i := 0
	if x > h.low {
		i = min(int(logarithm(x/h.low)/h.step), len(h.bins)-1)
	}
	h.bins[i]++
}

func (h *histogram) mean() float64 { return h.sum / h.n }

// median is the middle of the bin that has it; NaN of nothing.
func (h *histogram) median() float64 {
	if h.n == 0 {
		return math.NaN()
	}
	seen := 0.0
	for i, n := range h.bins {
		seen += n
		if seen*2 >= h.n {
			return h.low * exp((float64(i)+0.5)*h.step)
		}
	}
	return math.NaN()
}

// Figure is a published figure beside the simulated one.
type Figure struct {
	Name, Source string
	// Low and High bound what was published; Got is NaN where nothing was seen.
	Low, High, Got float64
}

// Figures compares honest players in euros and pounds with what was published (docs/sim.md).
func (r *Report) Figures() []Figure {
	f, betsADay := &r.published, newHistogram(1, 20_000, 400)
	for _, p := range r.players {
		if p.days > 0 {
			betsADay.add(float64(p.bets) / float64(p.days))
		}
	}
	return []Figure{
		{"session, median minutes", "UKGC 2023", 5.5, 5.5, f.sessions.median()},
		{"session, mean minutes", "UKGC 2023", 17, 19, f.sessions.mean()},
		{"sessions over an hour, %", "UKGC 2023", 5.6, 7.8, 100 * f.long / f.sessions.n},
		{"seconds between bets, mean", "UKGC 2023", 7.2, 7.2, f.gaps.mean()},
		{"bets in a session, mean", "UKGC 2023", 141, 141, f.stakes.n / f.sessions.n},
		{"a player's bets on a day with play, median", "LaBrie 2008", 49, 49, betsADay.median()},
		{"a player's bets on a day with play, mean", "LaBrie 2008", 116, 116, betsADay.mean()},
		{"stakes under a unit, %", "Forrest and McHale 2018", 78, 78, 100 * f.small / f.stakes.n},
		{"kept of stakes, %", "LaBrie 2008; games' settings", 2, 6, 100 * (f.staked - f.won) / f.staked},
	}
}

// names gives the groups' names in order: frauds by their typology, or look-alikes by their name.
func (r *Report) names(fraud bool) []string {
	var out []string
	if fraud {
		for t, k := range fraudKinds() {
			for level := range 3 {
				if r.groups[groupKey{k.name, true, level}] != nil && !slices.Contains(out, Typology(t).String()) {
					out = append(out, k.name)
				}
			}
		}
		return out
	}
	for key := range r.groups {
		if !key.fraud && key.name != "ordinary" {
			out = append(out, key.name)
		}
	}
	slices.Sort(out)
	return out
}

// ends gives the report's first and last moment.
func (r *Report) ends() (from, to time.Time) {
	return r.cfg.Start.UTC(), time.UnixMicro(r.start + r.width*int64(r.bins)).UTC()
}
