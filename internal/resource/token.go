package resource

import "time"

// Token is a bearer token; its secret is kept only as a hash and printed once, when made.
type Token = Object[TokenSpec, TokenStatus]

const KindToken = "Token"

type Role string

const (
	RoleReader      Role = "Reader"
	RolePublisher   Role = "Publisher"
	RoleContributor Role = "Contributor"
	RoleOwner       Role = "Owner"
)

type TokenSpec struct {
	Role Role `json:"role"`
	// Scopes limit the role: image/NAME, scaleset/NAME, with * at the end; none means everything.
	Scopes  []string   `json:"scopes,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
}

// TokenStatus is never listed or returned with Hash in it.
type TokenStatus struct {
	Hash string `json:"hash,omitempty"` // hex SHA-256 of the secret, which has 256 random bits
}
