// Package disk makes, replaces, keeps and removes the folders of instances.
//
//	<data>/instances/<set>/     0711
//	  <id>/                     0750, root's and the instance's group
//	    os/                     0750, the same; files below are read-only for everyone
//	    os.json                 what os/ is and in which boot it was made
//	    data/  tmp/             0700, the instance's
//	<cache>/layers/sha256-…/    unpacked layers: numbered files and a manifest
//	<cache>/work/  trash/       what is being unpacked and what is being deleted
//	<retired>/<id>  <id>.json   data folders that wait for their deadline
//
// # Unpacking
//
// Layers are hostile input. A layer's names never reach the file system while it
// is unpacked: contents go to files named by a number, names to a manifest, and
// only when every byte has been compared with the layer's digests does the layer
// move into the cache. The layers of an image are then laid over each other in
// memory (tree), where a name can only walk from folder to folder: through a
// link, a file or ".." it is refused. What comes out is made on disk name by
// name, each in a folder just made, and making fails where something is. So
// nothing can be written outside, whatever a layer holds. Device nodes and named
// pipes are refused; setuid, setgid and capabilities are dropped and counted;
// entries, bytes and names are bounded before they are stored.
//
// # Sharing
//
// As root a file in os/ is a hard link to the cache: read-only, root's, with one
// mode for everyone. The workload has another user id and can change neither.
// Not as root the workload could, so files are copied (by reference where the
// file system can) and the copy is hashed; an os/ that is found again is compared
// with the image before the process is started from it.
//
// # Crashes and power cuts
//
// Nothing here is synced but data/'s own name and the records of retired
// folders; neither cache nor os/ holds anything that cannot be made again. In
// return neither is believed blindly: a cached layer is hashed at its first use
// after a start of Drover, and os/ is made anew in every boot. A crash while
// unpacking leaves a folder in work/, while building one named .os-… in the
// instance's: the next Sweep and the next Prepare delete them. The new os/ is
// complete before it takes the old one's place, in one step where the file
// system can exchange two names. Without os.json there is no os/.
//
// Removing is a rename into trash/ first: a folder is there whole or not at
// all. Retiring writes the record, then moves the folder: a crash between the
// two leaves a record that the next Retire writes again or a Sweep drops.
package disk
