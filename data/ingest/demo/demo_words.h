#pragma once

#include <array>
#include <string_view>

namespace cllm {

/// The vocabulary of the demo data: professions with their titles and skills.
struct Profession {
  std::string_view field;
  std::array<std::string_view, 3> titles;
  std::array<std::string_view, 12> skills;
};

inline constexpr std::array<Profession, 10> kProfessions = {{
    {"software",
     {"backend engineer", "frontend developer", "site reliability engineer"},
     {"distributed systems", "web services", "Kubernetes", "databases", "Java", "TypeScript", "user interfaces",
      "monitoring", "Linux", "C++", "code review", "cloud platforms"}},
    {"data",
     {"data scientist", "data analyst", "machine learning engineer"},
     {"statistics", "forecasting", "dashboards", "Python", "SQL", "recommender systems", "experiments",
      "neural networks", "data pipelines", "reporting", "text mining", "visualisation"}},
    {"health care",
     {"registered nurse", "physiotherapist", "clinic manager"},
     {"patient care", "wound care", "rehabilitation", "intensive care", "medication", "scheduling", "home visits",
      "first aid", "paediatrics", "documentation", "geriatrics", "hygiene"}},
    {"finance",
     {"accountant", "financial controller", "credit analyst"},
     {"bookkeeping", "annual reports", "tax returns", "budgets", "auditing", "risk models", "payroll", "cash flow",
      "loans", "compliance", "invoicing", "investments"}},
    {"education",
     {"primary school teacher", "language tutor", "course designer"},
     {"lesson plans", "mathematics", "reading", "English lessons", "e-learning", "exams", "classroom management",
      "special needs", "science", "parent meetings", "curricula", "music"}},
    {"hospitality",
     {"head chef", "hotel receptionist", "restaurant manager"},
     {"menu planning", "pastry", "guest service", "reservations", "food safety", "wine", "kitchen teams", "events",
      "housekeeping", "catering", "barista work", "purchasing"}},
    {"construction",
     {"electrician", "site manager", "structural engineer"},
     {"wiring", "blueprints", "concrete", "steel structures", "safety inspections", "renovation", "heating systems",
      "solar panels", "cost estimates", "surveying", "roofing", "building codes"}},
    {"marketing",
     {"brand manager", "content writer", "campaign manager"},
     {"social media", "copywriting", "market research", "search engines", "newsletters", "photography",
      "press releases", "branding", "advertising budgets", "trade fairs", "storytelling", "video"}},
    {"logistics",
     {"truck driver", "warehouse supervisor", "supply chain planner"},
     {"route planning", "forklifts", "inventory", "customs", "cold storage", "fleet maintenance", "packaging",
      "delivery schedules", "night shifts", "procurement", "air freight", "barcode systems"}},
    {"law",
     {"legal assistant", "contract lawyer", "compliance officer"},
     {"contracts", "court filings", "labour law", "patents", "data protection", "due diligence", "mergers",
      "legal research", "negotiation", "real estate law", "arbitration", "notary work"}},
}};

inline constexpr std::array<std::string_view, 12> kCities = {"Berlin",    "Lisbon", "Chicago",   "Toronto",
                                                             "Madrid",    "Oslo",   "Nairobi",   "Seoul",
                                                             "Melbourne", "Mumbai", "Sao Paulo", "Dublin"};

inline constexpr std::array<std::string_view, 12> kCompanies = {"Northwind", "Bluefield", "Harbor & Sons", "Silverline",
                                                                "Oakbridge", "Fernhill",  "Quickstep",     "Lighthouse",
                                                                "Stonegate", "Riverbend", "Sunrise",       "Evergreen"};

}  // namespace cllm
