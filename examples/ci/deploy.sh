#!/bin/sh
# Pushes a folder as a new version and rolls the scale set over to it. It ends
# with 0 only when the new version has passed its bake; otherwise the set is back
# on the old one.
#
#   DROVER_SERVER=https://drover.example:7400 DROVER_CA_PIN=sha256:… DROVER_TOKEN=… \
#     ./deploy.sh hello 1.2.0 ./build "./server"
#
# The token needs no more than the role Publisher for this image and this set:
#
#   drover token create ci --role Publisher --scope image/hello --scope scaleset/hello --expires 720h
set -eu

if [ $# -ne 4 ]; then
	echo "usage: deploy.sh NAME VERSION FOLDER ENTRYPOINT" >&2
	exit 2
fi
name=$1 version=$2 folder=$3 entrypoint=$4
drover=${DROVER:-drover}

# Running this again for the same commit is safe: the same content for a version
# that exists is accepted, other content is refused.
"$drover" image push "$name:$version" "$folder" --entrypoint "$entrypoint"
"$drover" rollout start "$name" --image "$name:$version" --watch
