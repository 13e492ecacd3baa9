import ArgumentParser

@main
struct Tessera: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tessera",
    abstract: "Turn files into training data: images into codes, checkpoints into weights.",
    version: "0.1.0"
  )
}
