package features

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "pitboss/proto/pitboss/v1"
)

// Decode makes the one form of an event out of its stored message, which is kept as dst.Msg and must not change any
// more. It is a pure function of the message. dst is overwritten; its slices are used again.
//
// An error names what a stored message cannot be: without occurred_at, or with an entity of a kind that is not
// configured, of the implicit kinds tenant and brand, or named twice.
func Decode(kinds *Kinds, msg *pb.Event, dst *Event) error {
	return decode(kinds, msg, dst, kinds.tables.contentHash(msg))
}

// decode is Decode where the content hash is known, as it is of every stored frame.
func decode(kinds *Kinds, msg *pb.Event, dst *Event, content [32]byte) error {
	if msg.GetOccurredAt() == nil {
		return errors.New("event.occurred_at is missing")
	}
	*dst = Event{
		Tenant: msg.GetTenant(), ID: msg.GetEventId(), Key: MakeEventKey(msg.GetTenant(), msg.GetEventId()),
		Content: content, Type: msg.GetType(),
		OccurredAt: microseconds(msg.GetOccurredAt()), Trust: trustOf(msg),
		Entities: dst.Entities[:0], Fields: dst.Fields[:0], Msg: msg,
	}
	if at := msg.GetReceivedAt(); at != nil {
		dst.ReceivedAt = microseconds(at)
	}
	if id := msg.GetTransactionId(); id != "" {
		dst.Transaction = MakeTransactionKey(dst.Tenant, id, dst.Type)
	}
	if original, ok := takenBackBy(dst.Type); ok && msg.GetReferenceTransactionId() != "" {
		dst.TakesBack = MakeTransactionKey(dst.Tenant, msg.GetReferenceTransactionId(), original)
	}
	if id := msg.GetSupersedesEventId(); id != "" && id != dst.ID {
		dst.Replaces = MakeEventKey(dst.Tenant, id)
	}
	if err := decodeEntities(kinds, msg, dst); err != nil {
		return err
	}
	kinds.tables.decodeFields(msg, dst)
	return nil
}

// microseconds cuts finer digits. Timestamps of stored messages are within a few decades, far from overflow.
func microseconds(t *timestamppb.Timestamp) int64 {
	return t.GetSeconds()*1_000_000 + int64(t.GetNanos())/1000
}

func trustOf(msg *pb.Event) Trust {
	if msg.GetTrust() == pb.Trust_TRUST_CLIENT || strings.HasPrefix(msg.GetType(), "guard.") {
		return TrustClient
	}
	return TrustServer
}

func decodeEntities(kinds *Kinds, msg *pb.Event, dst *Event) error {
	tenant := tenantPart(dst.Tenant)
	dst.Entities = slices.Grow(dst.Entities, len(msg.GetEntities())+len(msg.GetEnrichment().GetDerived())+2) // tenant and brand
	add := func(path string, i int, id *pb.Identifier) error {
		kind, ok := kinds.Get(id.GetKind())
		switch {
		case !ok:
			return fmt.Errorf("%s[%d].kind: %q is not a configured entity kind", path, i, id.GetKind())
		case kind.Name == "tenant" || kind.Name == "brand":
			return fmt.Errorf("%s[%d].kind: %s is named by the field event.%s", path, i, kind.Name, kind.Name)
		}
		if _, ok := dst.Entity(kind.Name); ok {
			return fmt.Errorf("%s[%d].kind: %s is named twice", path, i, kind.Name)
		}
		dst.Entities = append(dst.Entities, EntityRef{entityKey(tenant, kind, id.GetValue()), kind.Name, id.GetValue()})
		return nil
	}
	for i, id := range msg.GetEntities() {
		if err := add("event.entities", i, id); err != nil {
			return err
		}
	}
	for i, id := range msg.GetEnrichment().GetDerived() {
		if err := add("event.enrichment.derived", i, id); err != nil {
			return err
		}
	}
	for _, implicit := range [...]struct{ kind, alias string }{{"tenant", dst.Tenant}, {"brand", msg.GetBrand()}} {
		if implicit.alias == "" {
			continue
		}
		kind := kinds.byName[implicit.kind]
		dst.Entities = append(dst.Entities, EntityRef{entityKey(tenant, kind, implicit.alias), kind.Name, implicit.alias})
	}
	return nil
}

// Entity gives the event's entity of a kind.
func (ev *Event) Entity(kind string) (EntityRef, bool) {
	for i := range ev.Entities {
		if ev.Entities[i].Kind == kind {
			return ev.Entities[i], true
		}
	}
	return EntityRef{}, false
}

// Field gives the value of a name; false where the event has none.
func (ev *Event) Field(name string) (*Field, bool) {
	i, ok := slices.BinarySearchFunc(ev.Fields, name, func(f Field, name string) int { return cmp.Compare(f.Name, name) })
	if !ok {
		return nil, false
	}
	return &ev.Fields[i], true
}

// usualFields is how many values an event has at most, attributes apart, before the list of them must grow.
const usualFields = 16

func (t *decodeTables) decodeFields(msg *pb.Event, dst *Event) {
	m := msg.ProtoReflect()
	number := protoreflect.FieldNumber(0)
	var payload protoreflect.Message
	if fd := m.WhichOneof(t.payload); fd != nil {
		number, payload = fd.Number(), m.Get(fd).Message()
		if len(msg.GetUnknown()) > 0 {
			payload = withKnown(m.Descriptor(), fd, payload, msg.GetUnknown())
		}
	}
	list := t.fields[number]
	dst.Fields = slices.Grow(dst.Fields, min(len(list), usualFields)+len(msg.GetAttributes()))
	// Attributes are one run in the order of names, since nothing else starts with their prefix (tested).
	split, _ := slices.BinarySearchFunc(list, attrPrefix, func(f fieldSource, p string) int { return cmp.Compare(f.name, p) })
	for i := range list[:split] {
		dst.appendField(&list[i], payload)
	}
	dst.appendAttributes(msg.GetAttributes())
	for i := split; i < len(list); i++ {
		dst.appendField(&list[i], payload)
	}
}

// appendField appends the value if there is one. An empty text is none; an integer of 0 and a false flag are values,
// since Protobuf does not tell them from absent ones.
func (ev *Event) appendField(src *fieldSource, payload protoreflect.Message) {
	if src.desc == nil {
		if src.part.fieldType() == FieldBool {
			ev.appendFlag(src.name, ev.mismatch(src.part))
			return
		}
		ev.appendText(src.name, ev.envelope(src.part))
		return
	}
	if src.desc.HasPresence() && !payload.Has(src.desc) {
		return
	}
	v := payload.Get(src.desc)
	switch src.part {
	case partInt:
		ev.appendInt(src.name, FieldInt, v.Int())
	case partUint:
		if u := v.Uint(); u <= math.MaxInt64 {
			ev.appendInt(src.name, FieldInt, int64(u))
		}
	case partBool:
		ev.appendInt(src.name, FieldBool, boolInt(v.Bool()))
	case partNumber:
		ev.Fields = append(ev.Fields, Field{Name: src.name, Type: FieldNumber, Number: v.Float()})
	case partText:
		ev.appendText(src.name, v.String())
	case partEnum:
		if value := src.desc.Enum().Values().ByNumber(v.Enum()); value != nil {
			ev.appendText(src.name, string(value.Name()))
		}
	case partTime:
		if ts, ok := v.Message().Interface().(*timestamppb.Timestamp); ok {
			ev.appendInt(src.name, FieldInt, microseconds(ts))
		}
	case partMinor, partBase, partCurrency:
		if money, ok := v.Message().Interface().(*pb.Money); ok {
			ev.appendMoney(src.name, src.part, money)
		}
	default:
		panic("BUG: an envelope's part of a payload")
	}
}

func (ev *Event) envelope(part fieldPart) string {
	switch part {
	case partType:
		return ev.Type
	case partTrust:
		if ev.Trust == TrustClient {
			return "client"
		}
		return "server"
	case partBrand:
		return ev.Msg.GetBrand()
	case partJurisdiction:
		return ev.Msg.GetJurisdiction()
	case partAddressClass:
		return ev.Msg.GetEnrichment().GetAddressClass()
	case partASNClass:
		return ev.Msg.GetEnrichment().GetAsnClass()
	default:
		return ev.Msg.GetEnrichment().GetCountry()
	}
}

// mismatch gives a flag of countries, nil where one side is not known.
func (ev *Event) mismatch(part fieldPart) *bool {
	en := ev.Msg.GetEnrichment()
	switch {
	case en == nil:
		return nil
	case part == partCountryCurrency:
		return en.CountryCurrencyMismatch
	case part == partCardCountry:
		return en.CardCountryMismatch
	default:
		return en.CardCurrencyMismatch
	}
}

func (ev *Event) appendFlag(name string, flag *bool) {
	if flag != nil {
		ev.appendInt(name, FieldBool, boolInt(*flag))
	}
}

func (ev *Event) appendMoney(name string, part fieldPart, money *pb.Money) {
	switch part {
	case partMinor:
		ev.appendInt(name, FieldInt, money.GetAmountMinor())
	case partBase:
		if money.BaseMinor != nil {
			ev.appendInt(name, FieldInt, money.GetBaseMinor())
		}
	default:
		ev.appendText(name, money.GetCurrency())
	}
}

// appendAttributes appends generic attributes in the order of their names. Where the parts of a money attribute collide
// with an attribute of that name, the attribute stands.
func (ev *Event) appendAttributes(attributes map[string]*pb.Value) {
	if len(attributes) == 0 {
		return
	}
	start := len(ev.Fields)
	for name, value := range attributes {
		name = attrPrefix + name
		switch v := value.GetKind().(type) {
		case *pb.Value_Int:
			ev.appendInt(name, FieldInt, v.Int)
		case *pb.Value_Number:
			ev.Fields = append(ev.Fields, Field{Name: name, Type: FieldNumber, Number: v.Number})
		case *pb.Value_Text:
			ev.appendText(name, v.Text)
		case *pb.Value_Flag:
			ev.appendInt(name, FieldBool, boolInt(v.Flag))
		case *pb.Value_Money:
			ev.appendMoney(name, partMinor, v.Money)
		}
	}
	whole := len(ev.Fields)
	for name, value := range attributes {
		money := value.GetMoney()
		if money == nil {
			continue
		}
		for _, part := range [...]struct {
			suffix string
			part   fieldPart
		}{{"_base", partBase}, {"_currency", partCurrency}} {
			if _, taken := attributes[name+part.suffix]; !taken {
				ev.appendMoney(attrPrefix+name+part.suffix, part.part, money)
			}
		}
	}
	if whole > start {
		slices.SortFunc(ev.Fields[start:], func(a, b Field) int { return cmp.Compare(a.Name, b.Name) })
	}
}

func (ev *Event) appendInt(name string, typ FieldType, v int64) {
	ev.Fields = append(ev.Fields, Field{Name: name, Type: typ, Int: v})
}

func (ev *Event) appendText(name, text string) {
	if text != "" {
		ev.Fields = append(ev.Fields, Field{Name: name, Type: FieldText, Text: text})
	}
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
