package enginetest

import (
	"fmt"
	"math/rand/v2"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// start2026 is when the events of the tests begin: Thursday 2026-01-01, in seconds.
const start2026 = 1_767_225_600

// casino makes events, the same for the same seed.
type casino struct {
	rng     *rand.Rand
	players int
	made    int
	now     int64 // microseconds
	// bets are events that may be taken back, sent some time ago or only to be sent.
	bets []*pb.Event
	// moving casinos have players, addresses and games that come and go, over months.
	moving bool
	// calm ones have no days without events.
	calm bool
}

func newCasino(seed uint64) *casino {
	return &casino{rng: rand.New(rand.NewPCG(seed, 1)), players: 6, now: start2026 * 1_000_000}
}

// message makes the next event: mostly a little later than the last one, at times much older.
func (c *casino) message() *pb.Event {
	c.made++
	if c.rng.IntN(10) > 0 { // else in the same microsecond
		c.now += c.rng.Int64N(40_000_000)
	}
	if c.rng.IntN(40) == 0 && !c.calm {
		c.now += c.rng.Int64N(5 * 86400 * 1_000_000)
	}
	if c.moving && c.rng.IntN(30) == 0 {
		c.now += c.rng.Int64N(25 * 86400 * 1_000_000)
	}
	at := c.now
	switch n := c.rng.IntN(100); {
	case n < 15:
		at -= c.rng.Int64N(90 * 1_000_000)
	case n < 22:
		at -= c.rng.Int64N(3 * 3600 * 1_000_000)
	case n < 26:
		at -= c.rng.Int64N(30 * 86400 * 1_000_000) // older ones are refused at the edge
	}
	if msg := c.correction(at); msg != nil {
		return msg
	}
	msg := c.at(fmt.Sprint("e", c.made), at)
	if msg.Type == "bet.placed" || msg.Type == "payment.withdrawal_requested" {
		msg.TransactionId = "t" + msg.EventId
		c.bets = append(c.bets, msg)
	}
	return msg
}

// correction makes, now and then, an event that takes an earlier one back, or replaces it.
func (c *casino) correction(at int64) *pb.Event {
	if len(c.bets) == 0 || c.rng.IntN(7) > 0 {
		return nil
	}
	bet := c.bets[len(c.bets)-1-c.rng.IntN(min(len(c.bets), 30))]
	id := fmt.Sprint("e", c.made)
	if c.rng.IntN(4) == 0 { // another amount, and at times of another player
		msg := c.at(id, at)
		msg.SupersedesEventId = bet.EventId
		return msg
	}
	msg := &pb.Event{
		EventId: id, Type: "bet.rolled_back", Tenant: "acme", OccurredAt: timestamp(at), ReceivedAt: timestamp(max(at, c.now)),
		TransactionId: "back" + id, ReferenceTransactionId: bet.TransactionId, Entities: bet.Entities[:1+c.rng.IntN(len(bet.Entities))],
		Payload: &pb.Event_BetRolledBack{BetRolledBack: &pb.BetRolledBack{}},
	}
	if bet.Type == "payment.withdrawal_requested" {
		msg.Type, msg.Payload = "payment.withdrawal_cancelled", &pb.Event_PaymentWithdrawalCancelled{PaymentWithdrawalCancelled: &pb.PaymentWithdrawalCancelled{}}
	}
	return msg
}

// shift is added to the numbers of those who come and go.
func (c *casino) shift() int {
	if !c.moving {
		return 0
	}
	return c.made / 60 * 5
}

// at makes an event with an id at a time.
func (c *casino) at(id string, at int64) *pb.Event {
	msg := &pb.Event{
		EventId: id, Tenant: "acme", Brand: []string{"", "red", "blue"}[c.rng.IntN(3)],
		OccurredAt: timestamp(at), ReceivedAt: timestamp(max(at, c.now)), TraceId: fmt.Sprint(c.rng.Uint32()),
		Entities: []*pb.Identifier{
			{Kind: "player", Value: fmt.Sprint("p", c.shift()+c.rng.IntN(c.players)), Form: pb.Form_FORM_ALIAS},
			{Kind: "game", Value: fmt.Sprint("g", c.shift()+c.rng.IntN(4)), Form: pb.Form_FORM_RAW},
		},
	}
	if c.rng.IntN(5) > 0 {
		msg.Entities = append(msg.Entities, &pb.Identifier{Kind: "ip", Value: fmt.Sprint("i", c.shift()+c.rng.IntN(3)), Form: pb.Form_FORM_ALIAS})
	}
	c.payload(msg)
	return msg
}

func (c *casino) payload(msg *pb.Event) {
	switch n := c.rng.IntN(10); {
	case n < 6:
		amount := &pb.Money{AmountMinor: c.rng.Int64N(100_000), Currency: []string{"EUR", "GBP"}[c.rng.IntN(2)]}
		if c.rng.IntN(8) > 0 {
			base := amount.AmountMinor * 11 / 10
			amount.BaseMinor = &base
		}
		msg.Type = "bet.placed"
		msg.Payload = &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: amount, InputMode: []string{"", "manual", "autoplay", "bought"}[c.rng.IntN(4)]}}
	case n < 7:
		msg.Type, msg.Payload = "auth.login", &pb.Event_AuthLogin{AuthLogin: &pb.AuthLogin{RttMs: c.rng.Int64N(200)}}
	case n < 8 && c.rng.IntN(2) == 0:
		base := c.rng.Int64N(5000)
		msg.Type = "payment.withdrawal_requested"
		msg.Payload = &pb.Event_PaymentWithdrawalRequested{PaymentWithdrawalRequested: &pb.PaymentWithdrawalRequested{
			Amount: &pb.Money{AmountMinor: base, Currency: "EUR", BaseMinor: &base},
		}}
	case n < 8:
		msg.Type, msg.Payload = "auth.failed", &pb.Event_AuthFailed{AuthFailed: &pb.AuthFailed{Reason: "password"}}
	default:
		msg.Type = "custom.thing"
	}
	if c.rng.IntN(3) == 0 {
		msg.Attributes = map[string]*pb.Value{
			"odds": {Kind: &pb.Value_Number{Number: 1 + float64(c.rng.Float64()*10)}},
			"flag": {Kind: &pb.Value_Flag{Flag: c.rng.IntN(2) == 0}},
		}
	}
}

func timestamp(micros int64) *timestamppb.Timestamp {
	return &timestamppb.Timestamp{Seconds: micros / 1_000_000, Nanos: int32(micros % 1_000_000 * 1000)}
}

// events makes n events.
func (w *world) events(c *casino, n int) []*features.Event {
	w.t.Helper()
	list := make([]*features.Event, 0, n)
	for range n {
		list = append(list, w.decode(c.message()))
	}
	return list
}

// probes makes events that are only read with, around the times of others.
func (w *world) probes(c *casino, events []*features.Event, n int) []*features.Event {
	w.t.Helper()
	list := make([]*features.Event, 0, n)
	for i := range n {
		at := events[c.rng.IntN(len(events))].OccurredAt
		switch c.rng.IntN(4) {
		case 0:
			at = c.now
		case 1:
			at = c.now + c.rng.Int64N(35*86400*1_000_000)
		case 2:
			at += c.rng.Int64N(100_000_000)
		}
		list = append(list, w.decode(c.at(fmt.Sprint("probe", i), at)))
	}
	return list
}

// bet makes a bet of a player at an offset in seconds.
func (w *world) bet(id, player string, second float64, change ...func(*pb.Event)) *features.Event {
	w.t.Helper()
	base := int64(100)
	at := int64(start2026*1_000_000) + int64(second*1e6)
	msg := &pb.Event{
		EventId: id, Tenant: "acme", Type: "bet.placed", OccurredAt: timestamp(at), ReceivedAt: timestamp(at),
		Entities: []*pb.Identifier{{Kind: "player", Value: player, Form: pb.Form_FORM_ALIAS}, {Kind: "ip", Value: "home", Form: pb.Form_FORM_ALIAS}},
		Payload:  &pb.Event_BetPlaced{BetPlaced: &pb.BetPlaced{Amount: &pb.Money{AmountMinor: 100, Currency: "EUR", BaseMinor: &base}}},
	}
	for _, c := range change {
		c(msg)
	}
	return w.decode(msg)
}

// kafka gives a place in a topic.
func kafka(partition int32, offset int64) *pb.KafkaOffset {
	return &pb.KafkaOffset{TopicId: []byte("0123456789abcdef"), Topic: "events", Partition: partition, Offset: offset}
}
