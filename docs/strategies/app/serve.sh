# The app of these examples: it says who it is, and then does nothing.
echo "shop $VERSION on $MACHINE in zone $ZONE"
exec sleep 2000000
