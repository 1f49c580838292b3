from shelfhelp_ros.cli.main import main

main()
