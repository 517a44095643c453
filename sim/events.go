package sim

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pitboss/proto/pitboss/v1"
)

// about says which entities an event names, beside player and account.
type about uint8

const (
	aboutVisit about = 1 << iota // device and address
	aboutSession
	aboutGame // game and provider
	aboutInstrument
	aboutBonus
	aboutPartner // who brought the player, where somebody did
)

// The entities of one event, at most.
const maxEntities = 10

// eventBlock holds an event and what it always points to, so that it costs one allocation.
type eventBlock struct {
	told told
	ev   pb.Event
	at   timestamppb.Timestamp
	ids  [maxEntities]pb.Identifier
	refs [maxEntities]*pb.Identifier
}

// news makes an event about a player; the payload is still to be set. All events of all players are made here.
func (s *Sim) news(p *player, at int64, kind string, producer uint8, what about) *eventBlock {
	b := &eventBlock{}
	b.told = told{at: at, ev: &b.ev, producer: producer, truth: p.truth, player: p.idx}
	ev := &b.ev
	ev.Type, ev.SchemaVersion, ev.Tenant, ev.Trust = kind, 100, s.cfg.Tenant, pb.Trust_TRUST_SERVER
	ev.Brand, ev.Jurisdiction = p.brand.name, p.brand.jurisdiction
	ev.OccurredAt = &b.at
	setTime(&b.at, at)
	ids := identifiers{block: b}
	ids.addKey("player", "p-", p.keys.player)
	b.told.name = b.ids[0].Value
	ids.addKey("account", "a-", p.keys.account)
	if what&aboutSession != 0 {
		ids.addKey("session", "s-", p.session.key)
	}
	if what&aboutVisit != 0 {
		ids.addKey("device", "d-", p.session.device)
		ids.add("ip", addressText(p.session.address))
	}
	if what&aboutGame != 0 {
		ids.add("game", p.session.game.id)
		ids.add("provider", p.session.game.provider)
	}
	if what&aboutInstrument != 0 {
		ids.addKey("instrument", "i-", p.session.instrument)
	}
	if what&aboutBonus != 0 {
		ids.addKey("bonus", "b-", p.wallet.bonusKey)
	}
	if what&aboutPartner != 0 && p.keys.partner != 0 {
		ids.add("affiliate", partnerText(p.keys.partner))
		ids.addKey("click", "c-", p.keys.click)
	}
	return b
}

// identifiers fills an event's entities.
type identifiers struct {
	block *eventBlock
	n     int
}

func (i *identifiers) add(kind, value string) {
	id := &i.block.ids[i.n]
	id.Kind, id.Value, id.Form = kind, value, pb.Form_FORM_RAW
	i.block.refs[i.n] = id
	i.n++
	i.block.ev.Entities = i.block.refs[:i.n]
}

func (i *identifiers) addKey(kind, prefix string, key uint64) { i.add(kind, keyText(prefix, key)) }

// addRound names the round on an event.
func (b *eventBlock) addRound(key uint64) {
	ids := identifiers{block: b, n: len(b.ev.Entities)}
	ids.addKey("round", "r-", key)
}

// keyText is a prefix and 16 hex digits.
func keyText(prefix string, key uint64) string {
	var buf [24]byte
	out := append(buf[:0], prefix...)
	return string(appendHex(out, key))
}

func appendHex(dst []byte, key uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[key>>shift&0xf])
	}
	return dst
}

// uuid is 128 random bits in the usual form.
func uuid(rng *stream) string {
	var raw [32]byte
	appendHex(appendHex(raw[:0], rng.pcg.Uint64()), rng.pcg.Uint64())
	var buf [36]byte
	out := append(buf[:0], raw[:8]...)
	for _, cut := range [...]int{8, 12, 16} {
		out = append(append(out, '-'), raw[cut:cut+4]...)
	}
	return string(append(append(out, '-'), raw[20:]...))
}

func setTime(t *timestamppb.Timestamp, at int64) {
	t.Seconds, t.Nanos = at/second, int32(at%second*1000)
}

func timeOf(at int64) *timestamppb.Timestamp {
	t := &timestamppb.Timestamp{}
	setTime(t, at)
	return t
}

func (p *player) money(minor int64) *pb.Money {
	return &pb.Money{AmountMinor: minor, Currency: p.brand.currency}
}

// transaction gives the event a wallet transaction and tells which.
func (b *eventBlock) transaction(p *player) string {
	id := keyText("t-", p.rng.pcg.Uint64())
	b.ev.TransactionId = id
	return id
}
