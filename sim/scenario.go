package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Scenario is something that changes while the casino is watched: what a drift detector has to see, or must not.
type Scenario struct {
	// Kind is bot_tier, campaign, launch, currency or weekend.
	Kind string
	// After is when it begins, from Start on. A weekend has no beginning: it comes each week.
	After time.Duration
}

const (
	// botTier: bots that appear from then on are of the two best tiers.
	botTier = "bot_tier"
	// campaign: for three days most later deposits are offered a bonus, and people come half as often again.
	campaign = "campaign"
	// launch: a new game takes three visits in ten of those that slots had.
	launch = "launch"
	// currency: the Swedish brand keeps its accounts in euros from then on.
	currency = "currency"
	// weekend: on Saturdays and Sundays people come half as often again.
	weekend = "weekend"

	campaignLength = 3 * day
	// Of a ten-crown coin a euro is made.
	crownsPerEuro = 10
)

func scenarioKinds() []string { return []string{botTier, campaign, launch, currency, weekend} }

// scenarios are the times at which they begin, in microseconds; 0 for those that do not.
type scenarios struct {
	botTier, campaign, launch, currency int64
	weekend                             bool
}

func (c Config) checkScenarios() error {
	seen := map[string]bool{}
	for i, sc := range c.Scenarios {
		switch {
		case !slices.Contains(scenarioKinds(), sc.Kind):
			return fmt.Errorf("scenarios[%d]: unknown kind %q: one of %s", i, sc.Kind, strings.Join(scenarioKinds(), ", "))
		case seen[sc.Kind]:
			return fmt.Errorf("scenarios[%d]: %s is there twice", i, sc.Kind)
		case sc.After < 0 || sc.After > maxDuration:
			return fmt.Errorf("scenarios[%d].after is %s: must be 0 to %s", i, sc.After, maxDuration)
		}
		seen[sc.Kind] = true
	}
	return nil
}

func (c Config) scenarioTimes() scenarios {
	var out scenarios
	for _, sc := range c.Scenarios {
		at := max(c.Start.UnixMicro()+sc.After.Microseconds(), 1)
		switch sc.Kind {
		case botTier:
			out.botTier = at
		case campaign:
			out.campaign = at
		case launch:
			out.launch = at
		case currency:
			out.currency = at
		case weekend:
			out.weekend = true
		}
	}
	return out
}

func (sc *scenarios) campaigning(at int64) bool {
	return sc.campaign > 0 && at >= sc.campaign && at < sc.campaign+campaignLength
}

// offered is the chance that a deposit after the first is offered a bonus.
func (s *Sim) offered(at int64) float64 {
	if s.scenarios.campaigning(at) {
		return 0.6
	}
	return 0.15
}

// busy is how much more often people come on a day. The day is local.
func (s *Sim) busy(local int64) float64 {
	factor := 1.0
	if s.scenarios.campaigning(local + day) {
		factor = 1.5
	}
	// 1970 began on a Thursday.
	if weekday := (local/day + 5) % 7; s.scenarios.weekend && weekday < 2 {
		factor *= 1.5
	}
	return factor
}

// novelty is the share of visits to slots that a new game has.
func (s *Sim) novelty(now int64) float64 {
	if s.scenarios.launch > 0 && now >= s.scenarios.launch {
		return 0.3
	}
	return 0
}

// tierOf is a bot's mimicry, by when it appears.
func (s *Sim) tierOf(m float64, born int64) float64 {
	if s.scenarios.botTier > 0 && born >= s.scenarios.botTier {
		return max(m, 0.75+m/4)
	}
	return m
}

// convert turns the Swedish brand's money into euros, once: accounts, jackpot, tonight's prizes.
func (s *Sim) convert() {
	s.scenarios.currency = 0
	br := &s.world.brands[len(s.world.brands)-1]
	br.currency, br.unit = "EUR", br.unit/crownsPerEuro
	for i := range s.players {
		if p := &s.players[i]; p.brand == br {
			p.wallet.divide(crownsPerEuro)
			if f := p.feature; f != nil {
				f.stake, f.win = f.stake/crownsPerEuro, f.win/crownsPerEuro
			}
		}
	}
	j := &s.jackpots[br.index]
	for _, v := range []*int64{&j.base, &j.display, &j.reserve, &j.wins, &j.staked} {
		*v /= crownsPerEuro
	}
	if t := s.tournaments[br.index]; t != nil {
		t.pool /= crownsPerEuro
	}
}

func (w *wallet) divide(by int64) {
	for _, v := range []*int64{
		&w.real, &w.bonus, &w.wagerLeft, &w.wagerTotal, &w.maxBet, &w.paidIn, &w.paidOut, &w.sent, &w.received, &w.lost,
	} {
		*v /= by
	}
}
