package edge

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// scratch is what check finds out and apply uses, kept between events so that neither allocates for it.
type scratch struct {
	entities []entity
	money    []converted
	names    []string
}

// reset forgets the event: raw values must not wait in a pool.
func (s *scratch) reset() {
	clear(s.entities)
	clear(s.money)
	clear(s.names)
	s.entities, s.money, s.names = s.entities[:0], s.money[:0], s.names[:0]
}

// entity is one identifier that passed.
type entity struct {
	id *pb.Identifier
	// value is the canonical raw value, or the alias as it came.
	value    string
	personal bool
	// addr is the address of a raw ip, asn the number of a raw asn.
	addr netip.Addr
	asn  uint32
}

// storedForm is the form that the identifier has after Accept.
func (n *entity) storedForm() pb.Form {
	if n.personal {
		return pb.Form_FORM_ALIAS
	}
	return n.id.GetForm()
}

// checker takes one event through check and then apply.
type checker struct {
	*scratch
	edge       *Edge
	msg        *pb.Event
	receivedAt time.Time
	tenant     *tenant
	plan       *typePlan
	// currency is the payload's, card the country of its card; empty where it has none.
	currency, card string
}

// check finds the first thing that is wrong with the event. It changes nothing.
func (c *checker) check() *Error {
	for _, step := range []func(*checker) *Error{
		(*checker).checkOwn, (*checker).checkType, (*checker).checkEnvelope, (*checker).checkTimes,
		(*checker).checkEntities, (*checker).checkPayload, (*checker).checkAttributes, (*checker).checkUnknown,
	} {
		if err := step(c); err != nil {
			return err
		}
	}
	return nil
}

// checkOwn refuses what only pitboss sets.
func (c *checker) checkOwn() *Error {
	if c.msg == nil {
		return refuse(MissingField, "event", "there is none")
	}
	if c.msg.Enrichment != nil {
		return refuse(ForbiddenField, "event.enrichment", "only pitboss sets it")
	}
	if c.msg.ReceivedAt != nil && !c.edge.history {
		return refuse(ForbiddenField, "event.received_at", "only pitboss sets it")
	}
	return nil
}

// checkType finds the line of the catalogue and refuses what a newer build must read.
func (c *checker) checkType() *Error {
	if major := c.msg.GetSchemaVersion() / 100; major > SchemaMajor {
		return refuse(NewerSchema, "event.schema_version", "major schema %d, this build reads up to %d", major, SchemaMajor)
	}
	if v := c.msg.GetSchemaVersion(); v != 0 && v < 100 {
		return refuse(InvalidField, "event.schema_version", "%d: it is 100 * major + minor, such as 100", v)
	}
	name := c.msg.GetType()
	if name == "" {
		return refuse(MissingField, "event.type", "an event needs its type, such as bet.placed")
	}
	if strings.HasPrefix(name, customPrefix) {
		if !isWord(name, true) || len(name) == len(customPrefix) {
			return refuse(InvalidField, "event.type", "%s must match custom.[a-z0-9_.]+ in at most 64 bytes", clip(name))
		}
		return nil
	}
	plan, ok := c.edge.types[name]
	if !ok {
		return refuse(UnknownType, "event.type", "unknown type %s; types of your own start with custom.", clip(name))
	}
	c.plan = plan
	return nil
}

// checkEnvelope checks the fields that every event has.
func (c *checker) checkEnvelope() *Error {
	m := c.msg
	for _, t := range [...]struct {
		path, value string
		most        int
		needed      bool
	}{
		{"event.tenant", m.GetTenant(), MaxText, true},
		{"event.event_id", m.GetEventId(), MaxEventID, true},
		{"event.brand", m.GetBrand(), MaxText, false},
		{"event.jurisdiction", m.GetJurisdiction(), MaxText, false},
		{"event.producer_id", m.GetProducerId(), MaxText, false},
		{"event.clock_quality.source", m.GetClockQuality().GetSource(), MaxText, false},
		{"event.trace_id", m.GetTraceId(), MaxText, false},
		{"event.supersedes_event_id", m.GetSupersedesEventId(), MaxEventID, false},
		{"event.transaction_id", m.GetTransactionId(), MaxText, false},
		{"event.reference_transaction_id", m.GetReferenceTransactionId(), MaxText, false},
	} {
		if t.needed && t.value == "" {
			return refuse(MissingField, t.path, "needed")
		}
		if err := checkID(t.path, t.value, t.most); err != nil {
			return err
		}
	}
	if m.GetSupersedesEventId() == m.GetEventId() {
		return refuse(InvalidField, "event.supersedes_event_id", "an event cannot correct itself")
	}
	if err := c.checkTransactions(); err != nil {
		return err
	}
	tenant, ok := c.edge.tenants[m.GetTenant()]
	if !ok {
		return refuse(UnknownTenant, "event.tenant", "no tenant of this name")
	}
	c.tenant = tenant
	return c.checkTrust()
}

// checkTransactions checks that the transactions are there which the type needs.
func (c *checker) checkTransactions() *Error {
	if c.plan == nil {
		return nil
	}
	for _, name := range c.plan.envelope {
		value := c.msg.GetTransactionId()
		if name == "reference_transaction_id" {
			value = c.msg.GetReferenceTransactionId()
		}
		if value == "" {
			return refuse(MissingField, "event."+name, "%s needs it", c.plan.name)
		}
	}
	return nil
}

func (c *checker) checkTrust() *Error {
	switch c.msg.GetTrust() {
	case pb.Trust_TRUST_UNSPECIFIED, pb.Trust_TRUST_CLIENT:
		return nil
	case pb.Trust_TRUST_SERVER:
		if c.plan != nil && c.plan.client {
			return refuse(InvalidField, "event.trust", "%s is always of TRUST_CLIENT", c.plan.name)
		}
		return nil
	}
	return refuse(InvalidField, "event.trust", "unknown value %d", c.msg.GetTrust())
}

// checkTimes holds occurred_at against the time of receipt.
func (c *checker) checkTimes() *Error {
	if c.msg.ReceivedAt != nil {
		at, err := checkTime("event.received_at", c.msg.GetReceivedAt())
		if err != nil {
			return err
		}
		c.receivedAt = at
	}
	if c.msg.OccurredAt == nil {
		return refuse(MissingField, "event.occurred_at", "needed")
	}
	at, err := checkTime("event.occurred_at", c.msg.GetOccurredAt())
	if err != nil {
		return err
	}
	if ahead := at.Sub(c.receivedAt); ahead > FutureBound {
		return refuse(InFuture, "event.occurred_at", "%s after it was received at %s; at most %s is allowed",
			ahead, c.receivedAt.UTC().Format(time.RFC3339Nano), FutureBound)
	}
	if behind := c.receivedAt.Sub(at); behind > PastBound {
		return refuse(TooOld, "event.occurred_at", "%s before it was received at %s; at most 30 days (%s) is allowed",
			behind, c.receivedAt.UTC().Format(time.RFC3339Nano), PastBound)
	}
	return nil
}

// checkTime gives a timestamp cut to the microsecond. Times before 1970 are no times of events.
func checkTime(path string, ts *timestamppb.Timestamp) (time.Time, *Error) {
	if err := ts.CheckValid(); err != nil {
		return time.Time{}, refuse(InvalidField, path, "not a time between years 1 and 9999 with 0 to 999999999 nanoseconds")
	}
	if ts.GetSeconds() < 0 {
		return time.Time{}, refuse(InvalidField, path, "before 1970")
	}
	return ts.AsTime().Truncate(time.Microsecond), nil
}

// checkEntities checks the identifiers and that those are there which the type needs.
func (c *checker) checkEntities() *Error {
	ids := c.msg.GetEntities()
	if len(ids) > MaxEntities {
		return refuse(TooLong, "event.entities", "%d entities, at most %d", len(ids), MaxEntities)
	}
	for i, id := range ids {
		ent, err := c.edge.checkIdentifier("", id)
		if err != nil {
			err.Path = "event.entities[" + strconv.Itoa(i) + "]" + err.Path
			return err
		}
		for _, before := range c.entities {
			if before.id.GetKind() == id.GetKind() {
				return refuse(InvalidField, "event.entities["+strconv.Itoa(i)+"].kind", "a second %s", id.GetKind())
			}
		}
		c.entities = append(c.entities, ent)
	}
	if c.plan == nil {
		return nil
	}
	for _, kind := range c.plan.entities {
		if !slices.ContainsFunc(c.entities, func(n entity) bool { return n.id.GetKind() == kind }) {
			return refuse(MissingField, "event.entities", "%s needs an entity of kind %s", c.plan.name, kind)
		}
	}
	if other := c.find(counterpartyKind); other != nil {
		if player := c.find("player"); player != nil && player.value == other.value && player.id.GetForm() == other.id.GetForm() {
			return refuse(InvalidField, "event.entities", "the %s is the player", counterpartyKind)
		}
	}
	return nil
}

// checkIdentifier checks one identifier by itself; path is what the error's path starts with.
func (e *Edge) checkIdentifier(path string, id *pb.Identifier) (entity, *Error) {
	kind, ok := e.kinds.Get(id.GetKind())
	if !ok {
		return entity{}, refuse(UnknownKind, path+".kind", "unknown entity kind %s", clip(id.GetKind()))
	}
	if kind.Name == "tenant" || kind.Name == "brand" {
		return entity{}, refuse(InvalidField, path+".kind", "the %s is named by the field event.%s", kind.Name, kind.Name)
	}
	if id.GetValue() == "" {
		return entity{}, refuse(MissingField, path+".value", "needed")
	}
	if err := checkID(path+".value", id.GetValue(), MaxText); err != nil {
		return entity{}, err
	}
	switch id.GetForm() {
	case pb.Form_FORM_ALIAS:
		if kind.Personal && isRaw(kind.Name, id.GetValue()) {
			return entity{}, refuse(InvalidField, path+".value", "the real thing and no alias: say FORM_RAW, and only its alias is kept")
		}
		return entity{id: id, value: id.GetValue()}, nil
	case pb.Form_FORM_RAW:
		return rawEntity(path, kind, id)
	default:
		return entity{}, refuse(InvalidField, path+".form", "say FORM_RAW or FORM_ALIAS: it is never guessed")
	}
}

// rawEntity reads a raw value as its kind is written.
func rawEntity(path string, kind features.Kind, id *pb.Identifier) (entity, *Error) {
	value, problem := canonicalValue(kind.Name, id.GetValue())
	if problem != "" {
		return entity{}, refuse(InvalidField, path+".value", "the value %s", problem)
	}
	ent := entity{id: id, value: value, personal: kind.Personal}
	switch kind.Name {
	case "ip":
		ent.addr, _ = parseAddr(value)
	case "asn":
		ent.asn, _ = parseASN(value)
	}
	return ent, nil
}
