package gallery

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/droverhq/drover/internal/resource"
	"github.com/droverhq/drover/internal/store"
)

// recordTimeout bounds the write of a version's documents, which goes on when
// the client has gone: the registry has the version already.
const recordTimeout = 30 * time.Second

// putManifest stores a manifest. One tagged as a version becomes a version.
func (g *Registry) putManifest(w http.ResponseWriter, r *http.Request, rt route, c Caller) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxManifest+1))
	if err != nil {
		return resource.Errorf(resource.CodeInvalid, "the manifest did not arrive: %v", err)
	}
	if len(body) > maxManifest {
		return resource.Errorf(resource.CodeTooLarge, "a manifest has at most %d bytes", maxManifest)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	unlock, err := g.locks.lock(r.Context(), rt.image)
	if err != nil {
		return err
	}
	defer unlock()
	if err := g.finishRemovals(r.Context(), rt.image); err != nil {
		return err
	}
	answer := newHeld()
	if version, ok := rt.version(); ok {
		err = g.publish(answer, r, published{image: rt.image, version: version}, body)
	} else {
		g.app.ServeHTTP(answer, r)
	}
	if err != nil {
		return err
	}
	if answer.status == http.StatusCreated {
		g.options.Logger.Info("pushed", "image", rt.image, "reference", rt.reference, "digest", digestOf(body), "by", c.Name())
	}
	answer.give(w)
	return nil
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// publish stores a version's manifest and tag, then its documents. The answer
// that distribution gives is not given before both are on disk.
func (g *Registry) publish(w *held, r *http.Request, p published, body []byte) error {
	ctx := r.Context()
	p.digest = digestOf(body)
	is, err := g.stored(ctx, p)
	if err != nil {
		return err
	}
	if is != "" && is != p.digest {
		return immutable(p.name(), is, p.digest)
	}
	m, err := parseManifest(body)
	if err != nil {
		return resource.Errorf(resource.CodeInvalid, "%s cannot be a version: %v", p.name(), err)
	}
	p.bytes, err = g.content.survey(m, int64(len(body)))
	_, missing := errors.AsType[errMissing](err)
	if err != nil && !missing {
		return resource.Errorf(resource.CodeInvalid, "%s cannot be a version: %v", p.name(), err)
	}
	// What is missing is for distribution to say: it also knows which blobs this
	// image has no right to, and tells the two not apart.
	g.app.ServeHTTP(w, r)
	if w.status != http.StatusCreated {
		return nil
	}
	if missing {
		return resource.Errorf(resource.CodeInvalid, "%s cannot be a version: %v", p.name(), err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	err = g.record(ctx, p)
	if is == "" && errors.Is(err, store.ErrNoSpace) {
		// Nothing was written: the version was refused, its number stays free.
		err = errors.Join(err, g.untag(ctx, p.image, p.version.String()))
	}
	return err
}

// stored returns the digest of a version that is there, be it as a document, as a
// tag or both, or nothing.
func (g *Registry) stored(ctx context.Context, p published) (string, error) {
	v, err := getVersion(g.options.Store, p.name())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	if v.Status.Digest != "" {
		return v.Status.Digest, nil
	}
	return g.tagged(ctx, p.image, p.version.String())
}

// ensureRecorded adds the documents of a version whose push was interrupted
// before anybody is told that it is there.
func (g *Registry) ensureRecorded(ctx context.Context, rt route) error {
	version, ok := rt.version()
	if !ok {
		return nil
	}
	_, err := g.options.Store.Get(ctx, resource.KindImageVersion, resource.ImageVersionName(rt.image, version))
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if digest, err := g.tagged(ctx, rt.image, rt.reference); err != nil || digest == "" {
		return err
	}
	unlock, err := g.locks.lock(ctx, rt.image)
	if err != nil {
		return err
	}
	defer unlock()
	if err := g.finishRemovals(ctx, rt.image); err != nil {
		return err
	}
	return g.adopt(ctx, rt.image, version)
}

// deleteManifest deletes a tag, or a manifest with all tags that point to it.
func (g *Registry) deleteManifest(w http.ResponseWriter, r *http.Request, rt route, c Caller) error {
	ctx := r.Context()
	if version, ok := rt.version(); ok {
		if err := g.ensureRecorded(ctx, rt); err != nil {
			return err
		}
		if err := g.DeleteVersion(ctx, resource.ImageVersionName(rt.image, version)); err != nil {
			return err
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	unlock, err := g.locks.lock(ctx, rt.image)
	if err != nil {
		return err
	}
	defer unlock()
	unlisted := 0
	if rt.byDigest() {
		if unlisted, err = g.unlistContent(ctx, rt.image, rt.reference); err != nil {
			return err
		}
	}
	answer := newHeld()
	g.app.ServeHTTP(answer, r)
	if err := g.finishRemovals(ctx, rt.image); err != nil {
		return err
	}
	if unlisted > 0 && answer.status == http.StatusNotFound {
		answer = newHeld() // the content had vanished before, the versions go now
		answer.WriteHeader(http.StatusAccepted)
	}
	g.options.Logger.Info("deleted", "image", rt.image, "reference", rt.reference, "by", c.Name())
	answer.give(w)
	return nil
}

// unlistContent unlists the versions that are this content, unless a set uses it
// or it is a part of content that a set or a version uses, and returns how many.
func (g *Registry) unlistContent(ctx context.Context, image, digest string) (int, error) {
	versions, err := listVersions(g.options.Store, image)
	if err != nil {
		return 0, err
	}
	doomed := removal{image: image, digest: digest}
	for _, v := range versions {
		_, number, ok := resource.SplitImageVersionName(v.Name)
		switch {
		case ok && v.Status.Digest == digest:
			doomed.versions = append(doomed.versions, number)
		case g.holds(v.Status.Digest, digest):
			return 0, resource.Errorf(resource.CodeInUse, "%s is a part of %s: delete that version", digest, v.Name)
		}
	}
	users, err := listUsers(g.options.Store, image)
	if err != nil {
		return 0, err
	}
	for _, used := range users.digests(image) {
		if g.holds(used, digest) {
			return 0, inUse(fmt.Sprintf("%s, a part of %s@%s", digest, image, used), users.ofDigest(image, used))
		}
	}
	return len(doomed.versions), g.unlist(ctx, doomed)
}

// holds reports whether an index refers to a manifest, directly or below.
func (g *Registry) holds(index, digest string) bool {
	return index != digest && g.reaches(index, digest, map[string]bool{})
}

// reaches looks into each index once, however often others refer to it: a few that
// repeat each other would keep it busy for days.
func (g *Registry) reaches(index, digest string, seen map[string]bool) bool {
	if seen[index] || !resource.ValidDigest(index) {
		return false
	}
	seen[index] = true
	m, _, err := g.content.manifest(index)
	if err != nil || !m.isIndex() {
		return false // what cannot be read holds nothing together
	}
	return slices.ContainsFunc(m.Manifests, func(d ocispec.Descriptor) bool {
		return d.Digest.String() == digest || g.reaches(d.Digest.String(), digest, seen)
	})
}
