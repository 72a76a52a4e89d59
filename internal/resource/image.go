package resource

import "time"

// Image is a name in the gallery.
type Image = Object[ImageSpec, ImageStatus]

// ImageVersion is one immutable version of an image; its name is IMAGE:M.m.p.
type ImageVersion = Object[ImageVersionSpec, ImageVersionStatus]

const (
	KindImage        = "Image"
	KindImageVersion = "ImageVersion"
)

type ImageSpec struct {
	OSType      string     `json:"osType"`
	Description string     `json:"description,omitempty"`
	EndOfLife   *time.Time `json:"endOfLifeDate,omitempty"`
}

type ImageStatus struct {
	Latest string `json:"latest,omitempty"`
	// Removing are versions whose documents are gone and whose tags are about to
	// go; Deleting: the image itself goes with them. An interrupted deletion goes on from here.
	Removing []string  `json:"removing,omitempty"`
	Deleting *Deleting `json:"deleting,omitempty"`
}

// ConditionContentMissing: blobs of an ImageVersion are gone or damaged; pushing
// the same content again restores them.
const ConditionContentMissing = "ContentMissing"

type ImageVersionSpec struct {
	ExcludeFromLatest bool       `json:"excludeFromLatest"`
	EndOfLife         *time.Time `json:"endOfLifeDate,omitempty"`
	Revoked           *Revoked   `json:"revoked,omitempty"`
}

type Revoked struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

type ImageVersionStatus struct {
	Digest      string        `json:"digest"`
	Bytes       int64         `json:"bytes"` // of the manifest, the configuration and the layers
	PublishedAt time.Time     `json:"publishedAt"`
	InUseBy     []string      `json:"inUseBy"`
	Replication []Replication `json:"replication"`
	// Dropped counts what unpacking left out on purpose; nil: nothing, or not unpacked yet.
	Dropped    *Dropped        `json:"dropped,omitempty"`
	Conditions List[Condition] `json:"conditions"`
}

// Dropped counts the privileges that the image's files have and instances do not get.
type Dropped struct {
	Setuid       int `json:"setuid"`
	Setgid       int `json:"setgid"`
	Capabilities int `json:"capabilities"`
}

type Replication struct {
	Site  string `json:"site"`
	State string `json:"state"`
}
