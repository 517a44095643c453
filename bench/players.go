package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

const (
	// TenantPlayers is how many players a tenant of the fixture has. Two tenants share no entity, so each can be built
	// alone.
	TenantPlayers = 10_000
	tenantGames   = 400
	// meanEvents is what a player does in the span, on average: at least the base, and an exponential tail.
	baseEvents, tailEvents = 30, 70
	spanSeconds            = 30 * 86400
)

// Players are simulated players. Each has done some hundred things in 30 days, in sessions: a login, games, bets and
// wins, a deposit or a withdrawal at times. They are a function of their number alone.
type Players struct {
	// Named is how many of the six entities a message names, the player first. NewPlayers makes it 6.
	Named int

	kinds     *features.Kinds
	now       int64 // microseconds: when the span ends
	templates map[string]*template
}

// template is an event of a type, decoded once: making the next one changes what differs.
type template struct {
	ev features.Event
	// minor and base are the places of its amount among the fields, -1 without.
	minor, base int
}

// What players do.
const (
	typeFailed     = "auth.failed"
	typeLogin      = "auth.login"
	typeLaunch     = "game.launched"
	typeBet        = "bet.placed"
	typeWin        = "win.credited"
	typeDeposit    = "payment.deposit_settled"
	typeWithdrawal = "payment.withdrawal_requested"
)

// NewPlayers gives players whose 30 days end at now, in seconds since the Unix epoch.
func NewPlayers(kinds *features.Kinds, now int64) (*Players, error) {
	p := &Players{Named: len(entityKinds) - 1, kinds: kinds, now: now * 1e6, templates: map[string]*template{}}
	for _, typ := range []string{typeFailed, typeLogin, typeLaunch, typeBet, typeWin, typeDeposit, typeWithdrawal} {
		a := &player{Players: p}
		a.name(0)
		s := step{typ: typ, at: p.now, amount: 1}
		t := &template{}
		if err := features.Decode(kinds, a.message(&s), &t.ev); err != nil {
			return nil, fmt.Errorf("cannot decode a %s of the fixture: %w", typ, err)
		}
		place := func(name string) int {
			return slices.IndexFunc(t.ev.Fields, func(f features.Field) bool { return f.Name == name })
		}
		t.minor, t.base = place("amount"), place("amount_base")
		p.templates[typ] = t
	}
	return p, nil
}

// Tenant names the tenant of a player.
func Tenant(player int) string { return fmt.Sprintf("tenant-%03d", player/TenantPlayers) }

// Events calls f with everything that a player did, oldest first. The event is good during the call, and has no message.
func (p *Players) Events(number int, f func(ev *features.Event) error) error {
	var ev features.Event
	return p.each(number, func(a *player, s *step) error {
		a.event(s, &ev)
		return f(&ev)
	})
}

// Messages calls f with the same events as producers send them.
func (p *Players) Messages(number int, f func(msg *pb.Event) error) error {
	return p.each(number, func(a *player, s *step) error { return f(a.message(s)) })
}

// events are Messages, decoded.
func (p *Players) events(number int, f func(ev *features.Event) error) error {
	return p.Messages(number, func(msg *pb.Event) error {
		ev := &features.Event{}
		if err := features.Decode(p.kinds, msg, ev); err != nil {
			return fmt.Errorf("cannot decode an event of player %d: %w", number, err)
		}
		return f(ev)
	})
}

// Bet gives a bet that a player would place at the end of the span, with six entities.
func (p *Players) Bet(number int, id string) *pb.Event {
	a := &player{Players: p}
	a.name(number)
	a.enter(1, number%tenantGames)
	msg := a.message(&step{typ: typeBet, at: p.now, amount: 250})
	msg.EventId = id
	return msg
}

// player is one of them, while its events are made.
type player struct {
	*Players
	rng    *rand.Rand
	number int
	made   int
	tenant string
	// refs are its entities as an event names them: player, device, ip, instrument, session, game, then the tenant.
	refs [7]features.EntityRef
}

// step is one thing that a player does.
type step struct {
	typ    string
	at     int64
	amount int64
}

var entityKinds = [...]string{"player", "device", "ip", "instrument", "session", "game", "tenant"}

// The places of the entities that change while a player plays.
const (
	refSession = 4
	refGame    = 5
)

func (a *player) name(number int) {
	a.number, a.tenant = number, Tenant(number)
	n := number % TenantPlayers
	a.ref(0, "player-"+strconv.Itoa(n))
	a.ref(1, "device-"+strconv.Itoa(n))
	a.ref(2, "ip-"+strconv.Itoa(n/3)) // some share an address
	a.ref(3, "card-"+strconv.Itoa(n))
	a.ref(6, a.tenant)
	a.enter(1, 0)
}

// enter starts a session, in a game.
func (a *player) enter(session, game int) {
	a.ref(refSession, fmt.Sprintf("session-%d-%d", a.number%TenantPlayers, session))
	a.ref(refGame, "game-"+strconv.Itoa(game))
}

func (a *player) ref(i int, alias string) {
	kind, _ := a.kinds.Get(entityKinds[i])
	a.refs[i] = features.EntityRef{Key: features.MakeEntityKey(a.tenant, kind, alias), Kind: kind.Name, Alias: alias}
}

// each plays a player's 30 days.
func (p *Players) each(number int, f func(*player, *step) error) error {
	a := &player{Players: p, rng: rand.New(rand.NewPCG(uint64(number), 64))}
	a.name(number)
	total := baseEvents + int(a.rng.ExpFloat64()*tailEvents)
	sessions := 1 + total/20
	starts := make([]int64, sessions)
	for i := range starts {
		starts[i] = p.now - 3600e6 - a.rng.Int64N(spanSeconds-3600)*1e6
	}
	slices.Sort(starts)
	for i, at := range starts {
		if err := a.play(i+1, at, max(total/sessions, 4), f); err != nil {
			return err
		}
	}
	return nil
}

// play is one session of about n events.
func (a *player) play(session int, at int64, n int, f func(*player, *step) error) error {
	a.enter(session, a.rng.IntN(tenantGames))
	stake := int64(20) << a.rng.IntN(8)
	for i := range n {
		at += 2e6 + a.rng.Int64N(6e6)
		s := step{typ: typeBet, at: at, amount: stake}
		switch {
		case i == 0 && a.rng.IntN(12) == 0:
			s.typ = typeFailed
		case i <= 1:
			s.typ = typeLogin
		case i == 2 && a.rng.IntN(3) == 0:
			s.typ, s.amount = typeDeposit, stake*100
		case i == 3 || a.rng.IntN(20) == 0:
			a.enter(session, a.rng.IntN(tenantGames))
			s.typ = typeLaunch
		case i == n-1 && a.rng.IntN(10) == 0:
			s.typ, s.amount = typeWithdrawal, stake*50
		case a.rng.IntN(4) == 0:
			s.typ, s.amount = typeWin, stake*a.rng.Int64N(12)
		}
		if err := f(a, &s); err != nil {
			return err
		}
		a.made++
	}
	return nil
}

func (a *player) id() string { return "p" + strconv.Itoa(a.number) + "-" + strconv.Itoa(a.made) }

// event makes the event of a step out of its type's template.
func (a *player) event(s *step, ev *features.Event) {
	t := a.templates[s.typ]
	ev.Entities = append(ev.Entities[:0], a.refs[:]...)
	ev.Fields = append(ev.Fields[:0], t.ev.Fields...)
	ev.Tenant, ev.ID, ev.Type, ev.Trust = a.tenant, a.id(), s.typ, t.ev.Trust
	ev.Key = features.MakeEventKey(ev.Tenant, ev.ID)
	ev.OccurredAt, ev.ReceivedAt = s.at, s.at
	if t.minor >= 0 {
		ev.Fields[t.minor].Int, ev.Fields[t.base].Int = s.amount, s.amount
	}
}

// message makes the event of a step as a producer sends it.
func (a *player) message(s *step) *pb.Event {
	at := &timestamppb.Timestamp{Seconds: s.at / 1e6, Nanos: int32(s.at % 1e6 * 1000)}
	msg := &pb.Event{EventId: a.id(), Tenant: a.tenant, Type: s.typ, OccurredAt: at, ReceivedAt: at, ProducerId: "wallet-1"}
	for i := range a.refs[:a.Named] {
		form := pb.Form_FORM_ALIAS
		if i == refGame {
			form = pb.Form_FORM_RAW
		}
		msg.Entities = append(msg.Entities, &pb.Identifier{Kind: a.refs[i].Kind, Value: a.refs[i].Alias, Form: form})
	}
	amount := &pb.Money{AmountMinor: s.amount, Currency: "EUR", BaseMinor: &s.amount}
	switch s.typ {
	case typeFailed:
		msg.Payload = &pb.Event_AuthFailed{AuthFailed: &pb.AuthFailed{Reason: "password"}}
	case typeLogin:
		msg.Payload = &pb.Event_AuthLogin{AuthLogin: &pb.AuthLogin{RttMs: 40}}
	case typeLaunch:
		msg.Payload = &pb.Event_GameLaunched{GameLaunched: &pb.GameLaunched{}}
	case typeBet:
		msg.Payload = &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: amount, InputMode: "manual"}}
	case typeWin:
		msg.Payload = &pb.Event_WinCredited{WinCredited: &pb.WinCredited{Amount: amount}}
	case typeDeposit:
		msg.Payload = &pb.Event_PaymentDepositSettled{PaymentDepositSettled: &pb.PaymentDepositSettled{Amount: amount}}
	case typeWithdrawal:
		msg.Payload = &pb.Event_PaymentWithdrawalRequested{PaymentWithdrawalRequested: &pb.PaymentWithdrawalRequested{Amount: amount}}
	}
	return msg
}
