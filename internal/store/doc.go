// Package store keeps documents with revisions.
package store
