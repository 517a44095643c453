package sim_test

import (
	"errors"
	"testing"
	"time"

	pb "pitboss/proto/pitboss/v1"
	"pitboss/sim"
)

// acts is what the frauds of a casino did, as far as docs/sim.md gives it numbers.
type acts struct {
	t     *testing.T
	rules *sim.Rules
	count map[string]float64
	// by type of event, of frauds alone.
	types map[string]float64
	// rounds: started and bet events by round, until the result.
	started, bets map[string]*pb.Event
	rings         map[string]map[string]bool // ring -> distinct devices
	accounts      map[string]map[string]bool // ring -> distinct players
	firstLogin    map[string]time.Time
	lost          float64
	meters        map[string]uint64
	scores        map[string]scorer
	live          map[string]map[string]string // round -> player -> selection
}

// scorer is a player in a tournament: the device that began, when it and when the other one scored last.
type scorer struct {
	home     string
	at, away time.Time
}

// play runs a casino with one fraud and hardly anybody else.
func play(t *testing.T, typology sim.Typology, mimicry float64, change func(*sim.Config)) *acts {
	t.Helper()
	s := newSim(t, func(c *sim.Config) {
		c.Players, c.Duration, c.Activity, c.Rollbacks = 100, 60*time.Hour, 0.05, 0
		c.Mix = sim.Mix{Frauds: only(typology, 0.2, mimicry)}
		change(c)
	})
	a := &acts{
		t: t, rules: sim.NewRules(), count: map[string]float64{}, types: map[string]float64{}, started: map[string]*pb.Event{}, bets: map[string]*pb.Event{},
		rings: map[string]map[string]bool{}, accounts: map[string]map[string]bool{}, firstLogin: map[string]time.Time{},
		meters: map[string]uint64{}, live: map[string]map[string]string{}, scores: map[string]scorer{},
	}
	for ev, ok := s.Next(); ok && s.Events() < 40_000; ev, ok = s.Next() {
		truth := s.Truth()
		if truth.LossMinor > 0 && !truth.Fraud {
			t.Fatalf("an honest %s costs %d", ev.GetType(), truth.LossMinor)
		}
		a.round(ev, truth)
		a.meter(ev)
		if truth.Fraud {
			a.see(ev, truth)
		}
	}
	return a
}

func entityOf(ev *pb.Event, kind string) string {
	for _, id := range ev.GetEntities() {
		if id.GetKind() == kind {
			return id.GetValue()
		}
	}
	return ""
}

// round follows rounds of everybody: honest results follow from their seeds.
func (a *acts) round(ev *pb.Event, truth sim.Truth) {
	key := entityOf(ev, "round") + entityOf(ev, "player")
	switch ev.GetType() {
	case "round.started":
		a.started[key] = ev
	case "bet.placed":
		a.bets[key] = ev
	case "round.result":
		err := a.rules.CheckRound(a.started[key], a.bets[key], ev)
		if err != nil && (!truth.Fraud || !errors.Is(err, sim.ErrUnfair)) {
			a.t.Fatalf("%s round of %s: %v", truth.Typology, truth.Player, err)
		}
		if truth.Fraud {
			a.count["results"]++
		}
		if err != nil {
			a.count["unfair"]++
		}
	case "win.credited":
		if a.bets[key] == nil && ev.GetWinCredited().GetJackpot() == nil {
			a.count["ghosts"]++
		}
	case "jackpot.contribution":
		c := ev.GetJackpotContribution()
		right := float64(c.GetBet().GetAmountMinor()) * float64(c.GetRatePpm()) / 1e6
		if got := float64(c.GetAmount().GetAmountMinor()); got > right+1 || got < right-1 {
			a.count["wrong_part"]++
		}
		if a.bets[key] == nil {
			a.count["orphans"]++
		}
		a.count["contributions"]++
	}
}

func (a *acts) meter(ev *pb.Event) {
	m := ev.GetJackpotMeter()
	if m == nil {
		return
	}
	id := entityOf(ev, "jackpot")
	if m.GetInMeter() < a.meters[id] {
		a.count["steps_back"]++
	}
	a.meters[id] = m.GetInMeter()
}

func (a *acts) see(ev *pb.Event, truth sim.Truth) {
	a.types[ev.GetType()]++
	a.lost += float64(truth.LossMinor)
	add := func(m map[string]map[string]bool, value string) {
		if m[truth.Ring] == nil {
			m[truth.Ring] = map[string]bool{}
		}
		if value != "" {
			m[truth.Ring][value] = true
		}
	}
	add(a.rings, entityOf(ev, "device"))
	add(a.accounts, entityOf(ev, "player"))
	switch p := ev.GetPayload().(type) {
	case *pb.Event_GuardBatch:
		a.count["gestures"] += float64(p.GuardBatch.GetGestures())
		a.count["trusted"] += float64(p.GuardBatch.GetTrustedGestures())
		if p.GuardBatch.GetRendererClass() == "software" {
			a.count["software"]++
		}
		if !p.GuardBatch.GetHashOk() {
			a.count["bad_hash"]++
		}
	case *pb.Event_PaymentDepositRequested:
		if !map[string]bool{"GB": true, "DE": true, "SE": true}[p.PaymentDepositRequested.GetBinCc()] {
			a.count["foreign"]++
		}
	case *pb.Event_TournamentEntry:
		if truth.Role == "loser" {
			a.count["losers"]++
		}
	case *pb.Event_TournamentScore:
		a.splice(ev, truth)
	case *pb.Event_JackpotParamChanged:
		if p.JackpotParamChanged.GetApprovals() == 0 {
			a.count["alone"]++
		}
	case *pb.Event_BetPlaced:
		if p.BetPlaced.GetGestureId() == "" {
			a.count["no_gesture"]++
		}
		if entityOf(ev, "game") == "live-roulette" {
			round := entityOf(ev, "round") + truth.Ring // a pair's, whoever else is at the table
			if a.live[round] == nil {
				a.live[round] = map[string]string{}
			}
			a.live[round][truth.Player] = p.BetPlaced.GetSelection()
		}
	}
}

// splice notes when a booster's points go over to the other device.
func (a *acts) splice(ev *pb.Event, truth sim.Truth) {
	at, device := ev.GetOccurredAt().AsTime(), entityOf(ev, "device")
	last := a.scores[truth.Player]
	switch {
	case last.home == "":
		last.home = device
	case device != last.home:
		a.count["spliced"]++
		if gap := at.Sub(last.at).Seconds(); last.at.After(last.away) && gap < 300 {
			a.count["pause"] += gap
			a.count["pauses"]++
		}
		last.away = at
	}
	if device == last.home {
		last.at = at
	}
	a.scores[truth.Player] = last
}

func (a *acts) share(of, all float64) float64 {
	if all == 0 {
		return -1
	}
	return of / all
}

// devicesPerAccount is how many devices the fraudulent accounts of a ring have each.
func (a *acts) devicesPerAccount() float64 {
	devices, accounts := 0, 0
	for ring, d := range a.rings {
		devices += len(d)
		accounts += len(a.accounts[ring])
	}
	return a.share(float64(devices), float64(accounts))
}

// opposed is the share of live rounds that two or more of the frauds bet on, on different sides.
func (a *acts) opposed() float64 {
	joint, against := 0.0, 0.0
	for _, bets := range a.live {
		if len(bets) < 2 {
			continue
		}
		joint++
		sides := map[string]bool{}
		for _, s := range bets {
			sides[s] = true
		}
		if len(sides) == 2 {
			against++
		}
	}
	return a.share(against, joint)
}

// Each fraud does what docs/sim.md says at both ends of mimicry: the bounds are around the table's values.
func TestAgentsDoWhatTheTableSays(t *testing.T) {
	t.Parallel()
	var a *acts
	f := func(what string, got, low, high float64) {
		t.Helper()
		if got < low || got > high {
			t.Errorf("%s: got %.4f, want %v to %v", what, got, low, high)
		}
	}
	run := func(typology sim.Typology, mimicry float64) {
		t.Helper()
		a = play(t, typology, mimicry, func(*sim.Config) {})
		if a.types["auth.login"] == 0 {
			t.Fatalf("%s at %v: nobody came", typology, mimicry)
		}
	}
	bets := func() float64 { return a.types["bet.placed"] }

	run(sim.MetronomeBot, 0)
	f("crude bots' gestures", a.count["gestures"], 0, 0)
	run(sim.MetronomeBot, 1)
	f("careful bots' bets without a gesture", a.share(a.count["no_gesture"], bets()), 0, 0.2)

	run(sim.EmulatorFarm, 0)
	f("crude farm's devices for each account", a.devicesPerAccount(), 0, 0.9)
	f("crude farm's software renderers", a.share(a.count["software"], a.types["guard.batch"]), 0.99, 1)
	run(sim.EmulatorFarm, 1)
	f("careful farm's devices for each account", a.devicesPerAccount(), 1, 2)
	f("careful farm's software renderers", a.share(a.count["software"], a.types["guard.batch"]), 0, 0.3)

	run(sim.MultiAccount, 0)
	f("exclusions", a.types["rg.self_excluded"], 1, 20)
	f("one person's devices for each account", a.devicesPerAccount(), 0, 1)

	run(sim.LiveCollusion, 0)
	f("crude pairs' joint rounds on opposite sides (a trio has two on one)", a.opposed(), 0.85, 1)
	run(sim.LiveCollusion, 1)
	f("careful pairs' joint rounds on opposite sides", a.opposed(), 0.5, 0.97)

	run(sim.TournamentBooster, 0)
	scored := a.types["tournament.score"]
	f("crude boosters' scores", scored, 100, 1e6)
	f("crude boosters' second devices", a.count["spliced"], 0, 0)
	f("who loses to a booster", a.count["losers"], 1, 9)
	run(sim.TournamentBooster, 1)
	f("careful boosters' points from a second device", a.share(a.count["spliced"], a.types["tournament.score"]), 0.4, 0.9)
	f("careful boosters' pause before it, seconds", a.share(a.count["pause"], a.count["pauses"]), 30, 60)

	run(sim.JackpotTamper, 0)
	f("wrong contributions", a.share(a.count["wrong_part"], a.count["contributions"]), 0.02, 0.25)
	f("contributions without a bet", a.share(a.count["orphans"], a.count["contributions"]), 0.03, 0.07)
	f("meters that step back", a.count["steps_back"], 1, 100)
	run(sim.JackpotTamper, 1)
	f("careful: contributions without a bet", a.share(a.count["orphans"], a.count["contributions"]), 0.0001, 0.006)

	run(sim.Carousel, 0)
	f("transfers", a.types["transfer.p2p"], 10, 1000)
	f("a carousel costs the operator", a.lost, 0, 0)

	run(sim.AffiliateFraud, 0)
	f("commissions", a.types["affiliate.commission"], 3, 40)
	f("affiliate's loss", a.lost, 3*3000, 1e6)

	run(sim.Chargeback, 0)
	f("crude testers' declines", a.share(a.types["payment.deposit_failed"], a.types["payment.deposit_requested"]), 0.2, 0.85)
	f("cards of other countries", a.share(a.count["foreign"], a.types["payment.deposit_requested"]), 0.2, 0.95)

	run(sim.AccountTakeover, 0)
	f("thieves' failed logins for each login", a.share(a.types["auth.failed"], a.types["auth.login"]), 40, 51)
	f("payouts changed", a.share(a.types["account.detail_changed"], a.types["auth.login"]), 0.7, 1.1)
	f("thieves' loot", a.lost, 1000, 1e8)
	run(sim.AccountTakeover, 1)
	f("careful thieves' failed logins", a.types["auth.failed"], 0, 3)

	run(sim.TamperClient, 0)
	f("tampered batches", a.share(a.count["bad_hash"], a.types["guard.batch"]), 0.99, 1)
	f("tampered: bets without a gesture", a.share(a.count["no_gesture"], bets()), 0.99, 1)
	f("bets taken back", a.share(a.types["bet.rolled_back"], bets()), 0.2, 0.5)
	run(sim.TamperClient, 1)
	f("careful: tampered batches", a.share(a.count["bad_hash"], a.types["guard.batch"]), 0.01, 0.12)
	f("careful: bets taken back", a.share(a.types["bet.rolled_back"], bets()), 0.01, 0.06)

	run(sim.Backdoor, 0)
	f("results that do not follow", a.share(a.count["unfair"], a.count["results"]), 0.05, 0.25)
	f("wins without a bet", a.count["ghosts"], 5, 1e6)
	f("settings changed by one person alone", a.count["alone"], 1, 100)
	f("what backdoors cost", a.lost, 1000, 1e12)
	run(sim.Backdoor, 1)
	f("careful: results that do not follow", a.share(a.count["unfair"], a.count["results"]), 0.005, 0.06)
}

// Honest rounds are fair, jackpots' meters add up, and nobody honest costs anything.
func TestHonestWorldAddsUp(t *testing.T) {
	s := newSim(t, func(c *sim.Config) { c.Players, c.Activity, c.Mix.Frauds = 400, 4, [sim.Typologies]sim.Fraud{} })
	rules := sim.NewRules()
	display, counted := map[string]int64{}, map[string]uint64{}
	started, bets := map[string]*pb.Event{}, map[string]*pb.Event{}
	rounds, contributions, points := 0, 0, map[string]int64{}
	for ev, ok := s.Next(); ok; ev, ok = s.Next() {
		if truth := s.Truth(); truth.Fraud || truth.LossMinor != 0 {
			t.Fatalf("a casino without frauds has %+v", truth)
		}
		key := entityOf(ev, "round") + entityOf(ev, "player")
		switch p := ev.GetPayload().(type) {
		case *pb.Event_RoundStarted:
			started[key] = ev
		case *pb.Event_BetPlaced:
			bets[key] = ev
		case *pb.Event_RoundResult:
			rounds++
			if err := rules.CheckRound(started[key], bets[key], ev); err != nil {
				t.Fatalf("round %d: %v", rounds, err)
			}
			delete(started, key)
			delete(bets, key)
		case *pb.Event_JackpotContribution:
			contributions++
			j, c := entityOf(ev, "jackpot"), p.JackpotContribution
			if before, known := display[j]; known && before+c.GetAmount().GetAmountMinor() != c.GetPoolAfter().GetAmountMinor() {
				t.Fatalf("%s: %d and %d make %d", j, before, c.GetAmount().GetAmountMinor(), c.GetPoolAfter().GetAmountMinor())
			}
			if c.GetInMeter() != counted[j]+1 {
				t.Fatalf("%s counted %d bets after %d", j, c.GetInMeter(), counted[j])
			}
			display[j], counted[j] = c.GetPoolAfter().GetAmountMinor(), c.GetInMeter()
		case *pb.Event_JackpotWon:
			if j := entityOf(ev, "jackpot"); p.JackpotWon.GetAmount().GetAmountMinor() != display[j] {
				t.Fatalf("%s pays %v of %d", j, p.JackpotWon.GetAmount(), display[j])
			}
		case *pb.Event_JackpotReset:
			display[entityOf(ev, "jackpot")] = p.JackpotReset.GetPoolAfter().GetAmountMinor()
		case *pb.Event_TournamentScore:
			points[entityOf(ev, "tournament")] += p.TournamentScore.GetPointsDelta()
		case *pb.Event_TournamentEnded:
			if id := entityOf(ev, "tournament"); p.TournamentEnded.GetPointsTotal() != points[id] {
				t.Fatalf("%s ends with %d points, its scores are %d", id, p.TournamentEnded.GetPointsTotal(), points[id])
			}
		}
	}
	if rounds < 1000 || contributions < 50 || len(points) == 0 {
		t.Errorf("%d rounds, %d contributions, %d tournaments: want more", rounds, contributions, len(points))
	}
}
