package sim

import (
	"fmt"
	"strings"
)

// Typology is a kind of fraud.
type Typology uint8

// The frauds. docs/sim.md has what each does at mimicry 0, .5 and 1.
const (
	MetronomeBot Typology = iota
	EmulatorFarm
	BonusRing
	MultiAccount
	LiveCollusion
	TournamentBooster
	JackpotTamper
	Carousel
	AffiliateFraud
	Chargeback
	AccountTakeover
	TamperClient
	Backdoor
	// Typologies counts them.
	Typologies
)

// fraudKind is what is the same for all agents of a typology.
type fraudKind struct {
	name string
	// smallest is how many accounts it takes at least.
	smallest int
	// share of all accounts by default: 2 % together (docs/sim.md).
	share float64
}

// fraudKinds is in the order of the typologies.
func fraudKinds() [Typologies]fraudKind {
	return [Typologies]fraudKind{
		MetronomeBot:      {"metronome_bot", 1, 0.0016},
		EmulatorFarm:      {"emulator_farm", smallestFarm, 0.001},
		BonusRing:         {"bonus_ring", smallestRing, 0.009},
		MultiAccount:      {"multi_account", 2, 0.001},
		LiveCollusion:     {"live_collusion", 2, 0.001},
		TournamentBooster: {"tournament_booster", 1, 0.0004},
		JackpotTamper:     {"jackpot_tamper", 1, 0.0002},
		Carousel:          {"carousel", smallestCarousel, 0.002},
		AffiliateFraud:    {"affiliate_fraud", smallestAffiliate, 0.0008},
		Chargeback:        {"chargeback", 1, 0.0016},
		AccountTakeover:   {"account_takeover", 1, 0.0012},
		TamperClient:      {"tamper_client", 1, 0.0002},
		Backdoor:          {"backdoor", 1, 0.0002},
	}
}

// String gives the name that the truth has.
func (t Typology) String() string {
	if t >= Typologies {
		return fmt.Sprintf("typology-%d", uint8(t))
	}
	return fraudKinds()[t].name
}

// ParseTypology reads a typology's name. Its error names them all.
func ParseTypology(name string) (Typology, error) {
	var names []string
	for t, k := range fraudKinds() {
		if k.name == name {
			return Typology(t), nil
		}
		names = append(names, k.name)
	}
	return 0, fmt.Errorf("unknown agent %q: one of %s", name, strings.Join(names, ", "))
}

// Count says how many accounts of a typology there are.
type Count struct {
	Typology Typology
	Accounts int
	// Asked is how many its share asks for. Where that is less than half an account there is none, and where it is less
	// than the smallest group there is one such group.
	Asked float64
}

// accountsOf gives how many accounts a share of players comes to, for each typology.
func (c Config) accountsOf() [Typologies]Count {
	var out [Typologies]Count
	for t, k := range fraudKinds() {
		asked := float64(c.Mix.Frauds[t].Share * float64(c.Players))
		n := int(asked + 0.5)
		if n > 0 {
			n = max(n, k.smallest)
		}
		out[t] = Count{Typology: Typology(t), Accounts: n, Asked: asked}
	}
	return out
}
