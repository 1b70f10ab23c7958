import QtQuick 2.15
import QtQuick.Window 2.15

Window {
    id: window
    width: 520
    height: 300
    visible: true
    title: "qtloop"

    component Button: Rectangle {
        id: button
        property alias text: label.text
        signal clicked()
        implicitWidth: label.implicitWidth + 28
        implicitHeight: 34
        radius: 6
        color: mouse.pressed ? "#1864ab" : "#1971c2"
        Text { id: label; anchors.centerIn: parent; color: "white"; font.pixelSize: 14 }
        MouseArea { id: mouse; anchors.fill: parent; onClicked: button.clicked() }
    }

    Rectangle {
        id: scene
        anchors.fill: parent
        color: "#f8f9fa"

        // The dial, its hand driven by the loop's timer.
        Rectangle {
            id: dial
            x: 30; y: 30; width: 180; height: 180
            radius: width / 2
            color: "white"
            border { color: "#343a40"; width: 4 }

            Repeater {
                model: 12
                Item {
                    anchors.fill: parent
                    rotation: index * 30
                    Rectangle {
                        width: 3; height: 12; y: 10
                        color: "#868e96"
                        anchors.horizontalCenter: parent.horizontalCenter
                    }
                }
            }
            Item {
                anchors.fill: parent
                rotation: clock ? clock.seconds * 36 : 0
                Rectangle {
                    width: 4; height: 72; y: 18
                    color: "#e03131"
                    anchors.horizontalCenter: parent.horizontalCenter
                }
            }
            Rectangle {
                width: 14; height: 14; radius: 7
                anchors.centerIn: parent
                color: "#e03131"
            }
        }
        Text {
            anchors { horizontalCenter: dial.horizontalCenter; top: dial.bottom; topMargin: 10 }
            text: clock ? clock.seconds.toFixed(1) + " s" : ""
            font.pixelSize: 20
            color: "#343a40"
        }

        // The echoes, a stream's items.
        ListView {
            id: log
            x: 250; y: 30; width: 240; height: 150
            model: echoes
            interactive: false
            delegate: Text {
                text: number + ": " + model.text
                font.pixelSize: 16
                height: 24
                color: "#2b8a3e"
            }
        }

        Row {
            x: 250; y: 200; spacing: 10
            Button {
                id: ask
                text: "How many?"
                onClicked: clock.think("How many letters are there?").then(
                    thought => answer.text = thought, error => answer.text = error.message)
            }
            Button { objectName: "reset"; text: "Reset" }
        }
        Text { id: answer; x: 250; y: 250; font.pixelSize: 16; color: "#5f3dc4" }
    }

    // A picture, if one is wanted: as soon as there is something to see.
    readonly property bool complete: log.count >= 6 && answer.text !== ""
    Component.onCompleted: if (clock.screenshot !== "") ask.clicked()
    onCompleteChanged: if (complete && clock.screenshot !== "")
        scene.grabToImage(picture => Qt.exit(picture.saveToFile(clock.screenshot) ? 0 : 1))
}
