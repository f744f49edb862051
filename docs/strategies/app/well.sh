# Well, unless BROKEN_ON names this machine, its zone, or all of them.
case ",$BROKEN_ON," in
  *",$MACHINE,"* | *",$ZONE,"* | *,all,*) echo "a setting is missing" >&2; exit 1 ;;
esac
