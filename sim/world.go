package sim

import (
	"fmt"
	"strconv"

	pb "pitboss/proto/pitboss/v1"
)

// Times are microseconds.
const (
	millisecond int64 = 1000
	second            = 1000 * millisecond
	minute            = 60 * second
	hour              = 60 * minute
	day               = 24 * hour
)

// game is one entry of the lobby.
type game struct {
	id, provider, version, volatility string
	// producer is the game server that reports it.
	producer uint8
	// rtp is what the game pays back, in parts per million of the stakes.
	rtp int64
	// minCycle is the shortest cycle a game may have: 2.5 s for slots and 5 s for the rest (UKGC RTS 14).
	minCycle int64
	autoplay bool
	// jackpot, where above 0, says that a part of every bet goes into the brand's jackpot.
	jackpot int
	// sells: the game sells its free spins.
	sells bool
	// live games have a dealer, and rounds that go on by themselves.
	live bool
	// poker is played against others, for chips.
	poker bool
	// table games are bets on an even chance: low variance, and what bonuses are played out on.
	table bool
	// hit is the chance of a win; wins are its sizes in hundredths of the stake with their weights.
	hit  float64
	wins *payTable
}

type payTable struct {
	x100, weights []int
	// names are what the outcomes are called, total is the sum of the weights.
	names []string
	total int
}

func newPayTable(x100, weights []int) *payTable {
	p := &payTable{x100: x100, weights: weights}
	for i, x := range x100 {
		p.names = append(p.names, "x"+strconv.FormatFloat(float64(x)/100, 'g', -1, 64))
		p.total += weights[i]
	}
	return p
}

// mean is the mean win of a hit, in hundredths of the stake.
func (p *payTable) mean() float64 {
	sum, total := 0, 0
	for i, w := range p.weights {
		sum += w * p.x100[i]
		total += w
	}
	return float64(sum) / float64(total)
}

// brand is one site of the operator.
type brand struct {
	// index is its place in the world.
	index                                         int
	name, jurisdiction, currency, locale, country string
	// unit is a euro's worth in minor units, roughly: stakes and deposits are scaled by it.
	unit int64
	// tz is the players' offset from UTC in minutes.
	tz int32
	// autoplay says whether the regulator lets the machine press the button.
	autoplay bool
	weight   int
	// slab has amounts that are still to be given out.
	slab []pb.Money
}

// world is what the casino is, before anyone plays. It is the same for every seed.
type world struct {
	games  []game
	slots  []int
	tables []int
	// linked are the slots with a jackpot; live is the game with a dealer, novelty the slot of a game launch.
	linked        []int
	live, novelty int
	// poker is the game that players play against each other.
	poker  int
	brands []brand
}

func newWorld() *world {
	low := newPayTable([]int{50, 100, 200, 500, 1000, 2000, 5000}, []int{250, 250, 200, 180, 80, 30, 10})
	medium := newPayTable([]int{50, 100, 200, 500, 1000, 2500, 10000, 50000}, []int{300, 200, 180, 160, 90, 50, 18, 2})
	high := newPayTable([]int{50, 100, 200, 500, 1000, 2500, 10000, 50000, 100000}, []int{280, 180, 180, 160, 100, 70, 24, 5, 1})
	even := newPayTable([]int{200}, []int{1})
	w := &world{brands: []brand{
		{0, "lucky-reef", "GB", "GBP", "en-GB", "GB", 100, 0, false, 45, nil},
		{1, "nordspin", "MT", "EUR", "de-DE", "DE", 100, 60, true, 35, nil},
		{2, "nordspin-se", "MT", "SEK", "sv-SE", "SE", 1000, 60, true, 20, nil},
	}}
	providers := []string{"aurora", "brightreel", "copperfox", "deepwell", "eastgate", "fjordplay"}
	first := []string{"golden", "wild", "crystal", "mystic", "royal", "lucky", "frozen", "hidden"}
	second := []string{"harvest", "voyage", "dragons", "orchard", "canyon"}
	rng := newStream(0xca51)
	for i := range len(first) * len(second) {
		p := i % len(providers)
		g := game{
			id:       fmt.Sprintf("%s-%s", first[i/len(second)], second[i%len(second)]),
			provider: providers[p], producer: uint8(producerGames + p%3), version: fmt.Sprintf("1.%d.%d", rng.intn(9), rng.intn(20)),
			rtp: int64(940000 + 1000*rng.intn(30)), minCycle: 2500 * millisecond, autoplay: true,
		}
		switch rng.pick([]int{4, 4, 2}) {
		case 0:
			g.volatility, g.wins = "low", low
		case 1:
			g.volatility, g.wins = "medium", medium
		default:
			g.volatility, g.wins = "high", high
		}
		if i%10 == 3 {
			// What goes into the jackpot comes out of the payout.
			g.jackpot, g.rtp = 1, g.rtp-15_000
			w.linked = append(w.linked, len(w.games))
		}
		g.sells = i%4 == 0
		w.slots = append(w.slots, len(w.games))
		w.games = append(w.games, g)
	}
	for i, name := range []string{"european-roulette", "baccarat", "single-zero-express", "punto-banco"} {
		w.tables = append(w.tables, len(w.games))
		w.games = append(w.games, game{
			id: name, provider: providers[i], producer: uint8(producerGames + i%3), version: fmt.Sprintf("2.%d.0", i), volatility: "low",
			rtp: []int64{972973, 989400}[i%2], minCycle: 5000 * millisecond, autoplay: true, table: true, wins: even,
		})
	}
	w.live = len(w.games)
	w.games = append(w.games, game{
		id: "live-roulette", provider: providers[4], producer: producerStudio, version: "3.0.0", volatility: "low",
		rtp: 972973, minCycle: 5000 * millisecond, table: true, live: true, wins: even,
	})
	w.novelty = len(w.games)
	w.games = append(w.games, game{
		id: "comet-rush", provider: providers[5], producer: producerGames + 2, version: "0.9.0", volatility: "high",
		rtp: 961000, minCycle: 2500 * millisecond, autoplay: true, wins: high,
	})
	w.poker = len(w.games)
	w.games = append(w.games, game{
		id: "holdem", provider: providers[3], producer: producerCards, version: "1.4.0", volatility: "high",
		rtp: 950000, minCycle: 5000 * millisecond, poker: true, wins: even,
	})
	for i := range w.games {
		g := &w.games[i]
		g.hit = float64(g.rtp) / 1e4 / g.wins.mean()
	}
	return w
}

// byID finds a game; nil where there is none.
func (w *world) byID(id string) *game {
	for i := range w.games {
		if w.games[i].id == id {
			return &w.games[i]
		}
	}
	return nil
}

// ladder is what stakes snap to, in hundredths of a unit (domain: .1 .2 .4 .5 1 2 5 ...).
func ladder() []int64 {
	return []int64{10, 20, 40, 50, 80, 100, 160, 200, 300, 400, 500, 800, 1000, 2000, 5000, 10000}
}

// stepBelow is the ladder's highest step that is not above x hundredths; the lowest step where all are.
func stepBelow(steps []int64, x float64) int {
	i := 0
	for i+1 < len(steps) && float64(steps[i+1]) <= x {
		i++
	}
	return i
}

// snapDeposit takes an amount in units to what people type: 10, 20, 25, 50, and round hundreds.
func snapDeposit(units float64) int64 {
	steps := []int64{10, 15, 20, 25, 30, 40, 50, 75, 100, 150, 200, 250, 300, 400, 500, 750, 1000, 2000, 5000}
	for i := range steps {
		if i+1 == len(steps) || units < float64(steps[i]+steps[i+1])/2 {
			return steps[i]
		}
	}
	return steps[0]
}

// The hours of a day in one country: a peak from 20 to 23 h, and a quarter of it from 4 to 6 h.
func hourWeights() []int {
	return []int{60, 45, 35, 28, 25, 25, 28, 34, 42, 48, 52, 56, 60, 62, 64, 66, 70, 76, 84, 92, 100, 100, 98, 82}
}

// Producers: who reports an event, each with its own sequence.
const (
	producerAccounts = iota
	producerCashier
	producerBonus
	producerRisk
	producerGuard
	producerJackpots
	producerCups
	producerStudio
	producerPartners
	producerCards
	producerGames
)

// producers counts them: there are three game servers.
const producers = producerGames + 3

func producerName(p uint8) string {
	if p >= producerGames {
		return fmt.Sprintf("rgs-%d", p-producerGames+1)
	}
	return [...]string{"pam-1", "cashier-1", "promo-1", "risk-1", "guard-1", "jackpots-1", "cups-1", "studio-1", "partners-1", "cards-1"}[p]
}

// Addresses are taken from blocks that belong to nobody on the internet, so that no simulated player has a real person's:
// 240.0.0.0/5 (reserved) for homes, 248.0.0.0/6 (reserved) for homes and hotels abroad, 100.64.0.0/10 (carriers' own) for
// phones, 198.18.0.0/15 (benchmarks) for data centres and 203.0.113.0/24 (documentation) for the exits of VPNs.

// homeAddress is the address of a household's line: a /24 holds several homes.
func homeAddress(net, host uint64) uint32 {
	return 240<<24 | uint32(net%(1<<19))<<8 | uint32(host&0xff)
}

// countriesAbroad is how many countries there are besides the brands' own; each has 2^16 networks.
const countriesAbroad = 8

func abroadAddress(country, host uint64) uint32 {
	return 248<<24 | uint32(country%countriesAbroad)<<16 | uint32(host&0xffff)
}

// hostingAddress is a machine's in a data centre.
func hostingAddress(net, host uint64) uint32 {
	return 198<<24 | 18<<16 | uint32(net&0x1ff)<<8 | uint32(host&0xff)
}

// exitAddress is one that thousands share.
func exitAddress(host uint64) uint32 { return 203<<24 | 113<<8 | uint32(host&0x1f) }

// carrierAddress is one of a carrier's shared addresses: pool says which /24.
func carrierAddress(pool, host uint64) uint32 {
	return 100<<24 | 64<<16 | uint32(pool%(1<<14))<<8 | uint32(host&0xff)
}

func addressText(a uint32) string {
	var buf [15]byte
	b := strconv.AppendUint(buf[:0], uint64(a>>24), 10)
	for shift := 16; shift >= 0; shift -= 8 {
		b = strconv.AppendUint(append(b, '.'), uint64(a>>shift&0xff), 10)
	}
	return string(b)
}
