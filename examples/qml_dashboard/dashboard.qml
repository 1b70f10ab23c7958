import QtQuick 2.15
import QtQuick.Window 2.15

Window {
    id: window
    width: 640
    height: 360
    visible: true
    title: "qtloop"

    property bool computing: false

    function compute() {
        computing = true
        status.text = "computing"
        desk.compute().then(() => stopped("done"), error => stopped(error.message))
    }

    function stopped(why) {
        status.text = why
        computing = false
    }

    Rectangle {
        id: scene
        anchors.fill: parent
        color: "#f8f9fa"

        // The chart: a column for each reading, a dot for each number.
        Rectangle {
            id: chart
            x: 20; y: 20; width: 600; height: 240
            color: "white"
            border.color: "#ced4da"
            clip: true
            readonly property real step: width / 100

            Repeater {
                id: columns
                model: received
                Rectangle {
                    x: index * chart.step
                    y: chart.height - height
                    width: chart.step - 1
                    height: value * chart.height
                    color: "#74c0fc"
                }
            }
            Repeater {
                id: dots
                model: computed
                Rectangle {
                    x: index * chart.step
                    y: (1 - value) * (chart.height - height)
                    width: 6
                    height: 6
                    radius: 3
                    color: "#e8590c"
                }
            }
        }

        Row {
            x: 20; y: 280; spacing: 20
            Rectangle {
                id: button
                width: 120; height: 36; radius: 6
                color: window.computing ? "#c92a2a" : "#2b8a3e"
                Text {
                    anchors.centerIn: parent
                    text: window.computing ? "Cancel" : "Compute"
                    color: "white"
                    font.pixelSize: 15
                }
                MouseArea {
                    anchors.fill: parent
                    onClicked: window.computing ? desk.cancel() : window.compute()
                }
            }
            Text {
                id: status
                text: "idle"
                font.pixelSize: 16
                height: 36
                verticalAlignment: Text.AlignVCenter
                color: "#e8590c"
            }
            Text {
                text: desk ? "socket: " + desk.latest.toFixed(3) : ""
                font.pixelSize: 16
                height: 36
                verticalAlignment: Text.AlignVCenter
                color: "#1971c2"
            }
        }
    }

    Component.onCompleted: compute()

    // A picture, if one is wanted: cancel as soon as there is something to see, take it when that is
    // done.
    readonly property bool plenty: columns.count >= 60 && dots.count >= 60
    onPlentyChanged: if (plenty && desk && desk.screenshot !== "")
        desk.cancel()
    onComputingChanged: if (!computing && plenty && desk && desk.screenshot !== "")
        scene.grabToImage(picture => Qt.exit(picture.saveToFile(desk.screenshot) ? 0 : 1))
}
