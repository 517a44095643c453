// Package edge turns what arrives into an accepted features.Event, once, before anything else sees it: it validates,
// derives what hashing would destroy (address class, country, ip24, nickname skeleton, list hits), puts money into the
// tenant's base currency and replaces raw personal identifiers by aliases. After Accept no raw personal identifier is
// anywhere in the message.
//
// It is not a transport: the server, features/feed and batch call it with a decoded message and a time of receipt. It
// keeps no state of entities and reads no clock.
//
// Start reading at Edge.Accept in edge.go; catalogue.go has the table of event types, alias.go the aliases.
package edge
